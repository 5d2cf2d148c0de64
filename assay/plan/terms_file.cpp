#include "assay/plan/terms_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "assay/base/text.h"
#include "assay/base/version.h"
#include "assay/file/safetensors.h"

namespace assay {
namespace {

constexpr const char* kScale = "1/2 of the sum of squares is a damage per scored token";

// A hash that two files should share. Unknown on either side: nothing to compare.
Status same_hash(const std::string& path, const std::map<std::string, std::string>& metadata, const char* key, const std::string& own,
                 const std::string& what) {
  const auto found = metadata.find(key);
  if (found == metadata.end() || found->second.empty() || own.empty() || found->second == own) return {};
  return fail(ErrorCode::kMismatch,
              {path, "was made with another " + what, printable(found->second.substr(0, 12)) + "... and not " + own.substr(0, 12) + "...",
               "both come from one run of score"});
}

// Terms of one window: 1 where the metadata do not say or do not fit.
size_t run_of(const std::map<std::string, std::string>& metadata, size_t terms) {
  size_t windows = 1;
  for (const char* key : {"windows", "samples"}) {
    const auto found = metadata.find(key);
    size_t value = 0;
    if (found == metadata.end()) return 1;
    const char *const begin = found->second.data(), *const end = begin + found->second.size();
    if (const auto read = std::from_chars(begin, end, value); read.ec != std::errc() || read.ptr != end) return 1;
    if (value == 0 || value > terms / windows) return 1;
    windows *= value;
  }
  return terms % windows == 0 ? terms / windows : 1;
}

}  // namespace

std::string terms_name(const std::string& row, GgmlType type) { return row + "@" + find_type(type)->name; }

Result<TermsWriter> TermsWriter::create(const std::string& path, const DamageTable& table, size_t terms,
                                        std::map<std::string, std::string> facts, const OutputOptions& options) {
  std::vector<SafetensorShape> shapes;
  for (const DamageRow& row : table.rows)
    for (const DamageCell& cell : row.cells) shapes.push_back({terms_name(row.name, cell.type), {terms}});
  facts["table_sha256"] = rows_sha256(table);
  facts["estimator"] = table.estimator;
  facts["scale"] = kScale;
  facts["version"] = program_version();
  ASSAY_ASSIGN(SafetensorsWriter file, SafetensorsWriter::create(path, shapes, facts, options));
  return TermsWriter(std::move(file));
}

Result<TermsFile> TermsFile::read(const std::string& path, const DamageTable& table, const std::string& model_sha256) {
  ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
  ASSAY_ASSIGN(const Safetensors file, Safetensors::parse(std::move(source)));
  ASSAY_TRY(same_hash(path, file.metadata(), "model_sha256", model_sha256, "model"));
  ASSAY_TRY(same_hash(path, file.metadata(), "table_sha256", rows_sha256(table), "table"));
  TermsFile made;
  for (const DamageRow& row : table.rows)
    for (const DamageCell& cell : row.cells) {
      const std::string name = terms_name(row.name, cell.type), who = path + ": '" + printable(name) + "'";
      const SafetensorInfo* const info = file.find(name);
      if (info == nullptr) {
        if (cell.damage == 0) continue;
        return fail(ErrorCode::kMismatch, {who, "is not there", "the table has a damage for it", "the terms of another table?"});
      }
      if (info->dtype != "F32" || info->shape.size() != 1)
        return fail(ErrorCode::kBadInput,
                    {who, fmt::format("is {} with {} dimensions", info->dtype, info->shape.size()), "F32 with one", ""});
      if (made.length_ == 0) made.length_ = info->shape[0];
      if (info->shape[0] != made.length_ || made.length_ == 0)
        return fail(ErrorCode::kBadInput,
                    {who, fmt::format("has {} terms", info->shape[0]), fmt::format("the cells before have {}", made.length_), ""});
      std::vector<float> values(made.length_);
      ASSAY_TRY(file.read(*info, 0, std::as_writable_bytes(std::span(values))));
      const auto wrong = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
      if (wrong != values.end())
        return fail(ErrorCode::kBadInput, {who, fmt::format("has a term that is not finite, at {}", wrong - values.begin()), "", ""});
      made.cells_.emplace(name, std::move(values));
    }
  made.run_ = run_of(file.metadata(), made.length_);
  return made;
}

std::span<const float> TermsFile::terms(const std::string& row, GgmlType type) const {
  const auto found = cells_.find(terms_name(row, type));
  return found == cells_.end() ? std::span<const float>() : std::span<const float>(found->second);
}

}  // namespace assay
