#include "assay/job/weight_files.h"

#include <algorithm>
#include <filesystem>

#include "assay/base/version.h"
#include "assay/file/safetensors.h"
#include "assay/score/top_shares.h"

namespace assay {
namespace {

constexpr size_t kReadFloats = size_t{1} << 20;

// Of a file's sizes: what its largest parts hold.
Result<std::vector<std::pair<double, double>>> shares_of(const std::string& path) {
  ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
  ASSAY_ASSIGN(const Safetensors file, Safetensors::parse(std::move(source)));
  TopShares sizes;
  std::vector<float> some;
  for (const SafetensorInfo& tensor : file.tensors()) {
    const uint64_t elements = (tensor.end - tensor.begin) / sizeof(float);
    for (uint64_t begin = 0; begin < elements; begin += kReadFloats) {
      some.resize(std::min<uint64_t>(kReadFloats, elements - begin));
      ASSAY_TRY(file.read(tensor, begin * sizeof(float), std::as_writable_bytes(std::span(some))));
      sizes.add(some);
    }
  }
  std::vector<std::pair<double, double>> shares;
  for (const double part : kTopParts) shares.emplace_back(part, sizes.share(part));
  return shares;
}

}  // namespace

Result<std::unique_ptr<WeightFiles>> WeightFiles::prepare(const std::string& directory, std::span<const std::shared_ptr<Score>> scores,
                                                          std::span<const GgmlType> types, bool force) {
  std::unique_ptr<WeightFiles> made(new WeightFiles(directory, types, force));
  std::vector<std::string> paths;
  for (const auto& score : scores) {
    const ScoreInfo info = score->info();
    if (!made->wants(*score)) {
      made->left_out_.emplace_back(info.name);
      continue;
    }
    if (!info.by_type) paths.push_back(made->path_of(info.name, std::nullopt));
    if (info.by_type)
      for (const GgmlType type : types) paths.push_back(made->path_of(info.name, type));
  }
  if (paths.empty())
    return fail(ErrorCode::kUsage,
                {"--weights", "no score asked for is a sum over weights", "weight_error, taylor1_abs or fisher are", ""});
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(ErrorCode::kIo, {"--weights", directory + " cannot be made", error.message(), ""});
  for (const std::string& path : paths)
    if (!force && std::filesystem::exists(path, error))
      return fail(ErrorCode::kUsage, {"--weights", path + " exists", "another directory, or --force", ""});
  return made;
}

std::string WeightFiles::path_of(std::string_view score, std::optional<GgmlType> type) const {
  std::string name(score);
  if (type) name.append(".").append(find_type(*type)->name);
  return (std::filesystem::path(directory_) / (name + ".safetensors")).string();
}

Status WeightFiles::open(const ScoreInfo& score, std::optional<GgmlType> type, std::span<const WeightedMatrix> matrices) {
  std::vector<SafetensorShape> tensors;
  WeightFile made{std::string(score.name), path_of(score.name, type), type};
  for (const WeightedMatrix& matrix : matrices) {
    if (type && std::ranges::find(matrix.types, *type) == matrix.types.end()) continue;
    tensors.push_back({matrix.shape.tensor, {matrix.shape.rows, matrix.shape.columns}});
    made.elements += matrix.shape.elements();
  }
  if (tensors.empty()) return {};
  std::map<std::string, std::string> metadata = facts_;
  metadata["score"] = score.name;
  metadata["what"] = score.what;
  metadata["unit"] = score.unit;
  metadata["version"] = program_version();
  if (type) metadata["type"] = find_type(*type)->name;
  OutputOptions options;
  options.force = force_;
  ASSAY_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(made.path, tensors, metadata, options));
  made.tensors = tensors.size();
  made.bytes = writer.bytes();
  files_.push_back({std::move(made), std::move(writer)});
  return {};
}

Status WeightFiles::expect(const Score& score, std::span<const WeightedMatrix> matrices) {
  const ScoreInfo info = score.info();
  if (!info.by_type) return open(info, std::nullopt, matrices);
  for (const GgmlType type : types_) ASSAY_TRY(open(info, type, matrices));
  return {};
}

Status WeightFiles::take(const Score& score, std::optional<GgmlType> type, const std::string& tensor, std::span<const float> terms) {
  const std::string_view name = score.info().name;
  const std::lock_guard lock(mutex_);
  const auto file = std::ranges::find_if(files_, [&](const Open& one) { return one.made.score == name && one.made.type == type; });
  if (file == files_.end()) return fail(ErrorCode::kInternal, "weights: values of '" + std::string(name) + "' that were not announced");
  return file->writer.write(tensor, terms);
}

Result<std::vector<WeightFile>> WeightFiles::finish(Progress& progress) {
  progress.stage("weight files", files_.size());
  for (Open& file : files_) ASSAY_TRY(file.writer.commit());
  std::vector<WeightFile> made;
  for (Open& file : files_) {
    ASSAY_ASSIGN(file.made.shares, shares_of(file.made.path));
    made.push_back(std::move(file.made));
    progress.update(made.size());
  }
  files_.clear();
  return made;
}

}  // namespace assay
