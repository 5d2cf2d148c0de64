// Legacy form, little-endian: i32 entries; per entry i32 length, name, i32 calls, i32 values, f32[values] = mean * calls;
// then, in newer files, i32 chunks, i32 length, dataset name. The oldest files lack `calls` and
// that trailer, and hold plain means.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/foreign_format.h"
#include "assay/file/gguf_header.h"
#include "assay/file/imatrix_formats.h"
#include "assay/file/sequential_reader.h"

namespace assay {
namespace {

constexpr uint64_t kMinEntryBytes = 4 + 1 + 4 + 4;
constexpr int32_t kMaxDatasetBytes = 1 << 20;

class DatParser {
 public:
  DatParser(const ByteSource& source, bool has_calls) : in_(source, "imatrix"), name_(source.name()), has_calls_(has_calls) {}
  Result<Imatrix> parse();

 private:
  Result<uint64_t> read_length(const char* field, uint64_t limit);
  Status read_entry(Imatrix& imatrix, uint64_t number);
  Status read_trailer(Imatrix& imatrix);

  SequentialReader in_;
  std::string name_;
  bool has_calls_;
};

// An i32 from 1 to `limit`.
Result<uint64_t> DatParser::read_length(const char* field, uint64_t limit) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const int32_t value, in_.number<int32_t>(field));
  if (value >= 1 && static_cast<uint64_t>(value) <= limit) return static_cast<uint64_t>(value);
  return in_.broken(ErrorCode::kBadInput, at, field, "is " + std::to_string(value), "1 to " + group_digits(limit) + " is possible",
                    "truncated, or not an imatrix");
}

Status DatParser::read_entry(Imatrix& imatrix, uint64_t number) {
  in_.about("entry " + group_digits(number));
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const uint64_t name_bytes, read_length("name length", kMaxNameBytes));
  ASSAY_ASSIGN(const std::string_view name_view, in_.take(name_bytes, "name"));
  const std::string name(name_view);
  in_.about("tensor '" + printable(name) + "'");
  if (!is_valid_utf8(name))
    return in_.broken(ErrorCode::kBadInput, at, "name", "is not UTF-8", "a tensor name is needed", "not an imatrix");
  const uint64_t calls_at = in_.offset();
  int32_t calls = 1;
  if (has_calls_) {
    ASSAY_ASSIGN(calls, in_.number<int32_t>("number of calls"));
  }
  if (calls < 0)
    return in_.broken(ErrorCode::kBadInput, calls_at, "number of calls", "is " + std::to_string(calls), "it may not be negative",
                      "corrupt?");
  const uint64_t limit = std::max<uint64_t>((in_.remaining() - std::min<uint64_t>(in_.remaining(), 4)) / sizeof(float), 1);
  ImatrixEntry entry;
  ASSAY_ASSIGN(entry.columns, read_length("number of values", limit));
  ASSAY_ASSIGN(const std::string_view bytes, in_.take(entry.columns * sizeof(float), "values"));
  entry.sums.resize(entry.columns);
  std::memcpy(entry.sums.data(), bytes.data(), bytes.size());
  // llama.cpp takes values of 0 calls as they are.
  entry.counts.assign(1, static_cast<float>(std::max(calls, 1)));
  ASSAY_TRY(check_imatrix_entry("imatrix: " + name_ + ": tensor '" + printable(name) + "'", entry));
  if (!imatrix.entries.emplace(name, std::move(entry)).second)
    return in_.broken(ErrorCode::kBadInput, at, "name", "is given twice", "names are unique", "corrupt?");
  return {};
}

Status DatParser::read_trailer(Imatrix& imatrix) {
  in_.about("");
  if (in_.remaining() == 0) return {};
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const int32_t chunks, in_.number<int32_t>("chunk count"));
  if (chunks < 0)
    return in_.broken(ErrorCode::kBadInput, at, "chunk count", "is " + std::to_string(chunks), "it may not be negative", "corrupt?");
  imatrix.chunk_count = static_cast<uint32_t>(chunks);
  if (in_.remaining() == 0) return {};
  const uint64_t length_at = in_.offset();
  ASSAY_ASSIGN(const int32_t length, in_.number<int32_t>("dataset name length"));
  if (length < 0 || length > kMaxDatasetBytes)
    return in_.broken(ErrorCode::kBadInput, length_at, "dataset name length", "is " + std::to_string(length), "0 to 1,048,576 is possible",
                      "corrupt?");
  ASSAY_ASSIGN(const std::string_view dataset, in_.take(static_cast<uint64_t>(length), "dataset name"));
  if (length > 0) imatrix.datasets.emplace_back(dataset);
  return {};
}

Result<Imatrix> DatParser::parse() {
  ASSAY_ASSIGN(const uint64_t count, read_length("number of entries", std::max<uint64_t>(in_.remaining() / kMinEntryBytes, 1)));
  Imatrix imatrix;
  for (uint64_t i = 0; i < count; ++i) ASSAY_TRY(read_entry(imatrix, i));
  if (has_calls_) ASSAY_TRY(read_trailer(imatrix));
  in_.about("");
  if (in_.remaining() == 0) return imatrix;
  return in_.broken(ErrorCode::kBadInput, in_.offset(), "end", "is followed by " + group_digits(in_.remaining()) + " bytes",
                    "nothing more is expected", "corrupt?");
}

}  // namespace

Result<Imatrix> parse_dat_imatrix(const ByteSource& source) {
  std::string first(std::min<uint64_t>(source.size(), 64), '\0');
  ASSAY_TRY(source.read(0, std::as_writable_bytes(std::span(first))));
  if (const std::string what = foreign_format(first); !what.empty()) {
    return fail(ErrorCode::kBadInput,
                {"imatrix: " + source.name(), "is not an imatrix", "the GGUF or the .dat form is needed", "this is " + what});
  }
  auto current = DatParser(source, /*has_calls=*/true).parse();
  if (current || current.error().code == ErrorCode::kIo) return current;
  // Read in the wrong form, a length field lands on the bits of a float and the parse cannot come out even.
  auto oldest = DatParser(source, /*has_calls=*/false).parse();
  return oldest ? oldest : current;
}

Status write_dat_imatrix(const std::string& path, const Imatrix& imatrix, const OutputOptions& options) {
  std::string out;
  const auto number = [&](uint64_t value) {
    const auto small = static_cast<int32_t>(value);
    out.append(reinterpret_cast<const char*>(&small), sizeof(small));
  };
  const auto text = [&](const std::string& value) {
    number(value.size());
    out += value;
  };
  number(imatrix.entries.size());
  for (const auto& [name, entry] : imatrix.entries) {
    const float most = *std::ranges::max_element(entry.counts);
    const double calls = std::ceil(static_cast<double>(most) / std::max<uint32_t>(imatrix.chunk_size, 1));
    if (name.empty() || name.size() > kMaxNameBytes || entry.sums.size() > INT32_MAX || !(calls <= INT32_MAX)) {
      return fail(ErrorCode::kUsage,
                  {"imatrix: tensor '" + printable(name) + "'", "does not fit the .dat form", "write the GGUF form", ""});
    }
    text(name);
    number(static_cast<uint64_t>(calls));
    number(entry.sums.size());
    std::vector<float> values = imatrix.importance(name);
    for (float& value : values) value *= static_cast<float>(std::max(calls, 1.0));
    out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  number(imatrix.chunk_count);
  text(join(imatrix.datasets, ","));
  return write_text_file(path, out, options);
}

}  // namespace assay
