#include "assay/file/imatrix.h"

#include <algorithm>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/imatrix_formats.h"

namespace assay {
namespace {

// One matrix of all columns becomes the experts it stands for.
void divide_into(ImatrixEntry& entry, size_t matrices) {
  if (entry.counts.size() == matrices) return;
  entry.counts.assign(matrices, entry.counts.front());
  entry.columns = entry.sums.size() / matrices;
}

bool can_add(const ImatrixEntry& a, const ImatrixEntry& b) {
  return a.sums.size() == b.sums.size() && (a.counts.size() == b.counts.size() || a.counts.size() == 1 || b.counts.size() == 1);
}

void scale(ImatrixEntry& entry, float factor) {
  for (float& sum : entry.sums) sum *= factor;
  for (float& sum : entry.inputs) sum *= factor;
  for (float& count : entry.counts) count *= factor;
}

}  // namespace

std::vector<float> Imatrix::importance(const std::string& tensor) const {
  const auto found = entries.find(tensor);
  if (found == entries.end()) return {};
  const ImatrixEntry& entry = found->second;
  std::vector<float> weights(entry.sums.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const float count = entry.counts[i / entry.columns];
    weights[i] = count > 0 ? entry.sums[i] / count : 1.0F;
  }
  return weights;
}

std::vector<float> Imatrix::mean_inputs(const std::string& tensor) const {
  const auto found = entries.find(tensor);
  if (found == entries.end()) return {};
  const ImatrixEntry& entry = found->second;
  std::vector<float> means(entry.inputs.size());
  for (size_t i = 0; i < means.size(); ++i) {
    const float count = entry.counts[i / entry.columns];
    means[i] = count > 0 ? entry.inputs[i] / count : 0.0F;
  }
  return means;
}

Status Imatrix::merge(const Imatrix& other) {
  for (const auto& [name, entry] : other.entries) {
    const auto mine = entries.find(name);
    if (mine == entries.end() || can_add(mine->second, entry)) continue;
    return fail(ErrorCode::kMismatch,
                {"imatrix: tensor '" + printable(name) + "'",
                 "has " + group_digits(entry.columns) + " columns x " + group_digits(entry.counts.size()) + " matrices",
                 "the one to merge with has " + group_digits(mine->second.columns) + " x " + group_digits(mine->second.counts.size()),
                 "made from another model?"});
  }
  // Counts in chunks become counts in tokens where the other side knows how many tokens a chunk has.
  if (chunk_size == 0 && other.chunk_size != 0) {
    for (auto& [name, entry] : entries) scale(entry, static_cast<float>(other.chunk_size));
    chunk_size = other.chunk_size;
  }
  const float factor = other.chunk_size == 0 && chunk_size != 0 ? static_cast<float>(chunk_size) : 1.0F;
  for (const auto& [name, theirs] : other.entries) {
    ImatrixEntry addend = theirs;
    if (factor != 1.0F) scale(addend, factor);
    const auto [place, added] = entries.try_emplace(name, addend);
    if (added) continue;
    ImatrixEntry& sum = place->second;
    const size_t matrices = std::max(sum.counts.size(), addend.counts.size());
    divide_into(sum, matrices);
    divide_into(addend, matrices);
    for (size_t i = 0; i < sum.sums.size(); ++i) sum.sums[i] += addend.sums[i];
    if (sum.inputs.empty() || addend.inputs.empty()) sum.inputs.clear();  // known of one side alone: unknown of both
    for (size_t i = 0; i < sum.inputs.size(); ++i) sum.inputs[i] += addend.inputs[i];
    for (size_t m = 0; m < matrices; ++m) sum.counts[m] += addend.counts[m];
  }
  chunk_count += other.chunk_count;
  for (const std::string& dataset : other.datasets)
    if (std::ranges::find(datasets, dataset) == datasets.end()) datasets.push_back(dataset);
  return {};
}

Result<Imatrix> read_imatrix(const std::string& path) {
  ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
  return parse_imatrix(std::move(source));
}

Result<Imatrix> parse_imatrix(std::shared_ptr<ByteSource> source) {
  char magic[4] = {};
  if (source->size() >= sizeof(magic)) ASSAY_TRY(source->read(0, std::as_writable_bytes(std::span(magic))));
  if (std::string_view(magic, sizeof(magic)) == "GGUF") return parse_gguf_imatrix(std::move(source));
  return parse_dat_imatrix(*source);
}

Status write_imatrix(const std::string& path, const Imatrix& imatrix, ImatrixFormat format, const OutputOptions& options) {
  if (imatrix.entries.empty()) return fail(ErrorCode::kUsage, {"imatrix", "has no entries", "there is nothing to write", ""});
  for (const auto& [name, entry] : imatrix.entries) {
    if (!entry.counts.empty() && entry.columns > 0 && entry.sums.size() == entry.columns * entry.counts.size() &&
        (entry.inputs.empty() || entry.inputs.size() == entry.sums.size()))
      continue;
    return fail(ErrorCode::kUsage, {"imatrix: tensor '" + printable(name) + "'",
                                    "has " + group_digits(entry.sums.size()) + " sums for " + group_digits(entry.columns) + " columns x " +
                                        group_digits(entry.counts.size()) + " matrices",
                                    "one sum per column and matrix is needed", ""});
  }
  return format == ImatrixFormat::kGguf ? write_gguf_imatrix(path, imatrix, options) : write_dat_imatrix(path, imatrix, options);
}

}  // namespace assay
