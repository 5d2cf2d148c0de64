#include <algorithm>
#include <map>

#include "assay/base/payload.h"
#include "assay/base/text.h"
#include "assay/probe/collect_imatrix.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;

// Sums of squares per column of a matrix's input, in double.
struct ColumnSums {
  std::vector<double> sums;
  uint64_t tokens = 0;

  // One window at a time, so that the number of windows in a product does not change them.
  void add(const at::Tensor& x, int64_t windows) {
    const at::Tensor squares = x.to(at::kCPU).square().view({windows, -1, x.size(1)}).sum(1).contiguous();
    const float* values = squares.const_data_ptr<float>();
    sums.resize(static_cast<size_t>(x.size(1)));
    for (int64_t w = 0; w < windows; ++w)
      for (size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(*values++);
    tokens += static_cast<uint64_t>(x.size(0));
  }
  void merge(const ColumnSums& other) {
    sums.resize(other.sums.size());
    for (size_t c = 0; c < sums.size(); ++c) sums[c] += other.sums[c];
    tokens += other.tokens;
  }
  ImatrixEntry entry() const {
    ImatrixEntry entry;
    entry.columns = sums.size();
    for (const double sum : sums) entry.sums.push_back(static_cast<float>(sum));
    entry.counts = {static_cast<float>(tokens)};
    return entry;
  }
};
using TensorSums = std::map<std::string, ColumnSums>;  // by tensor name

Result<std::string> to_payload(const TensorSums& sums) {
  PayloadWriter writer;
  writer.add(uint64_t{sums.size()});
  for (const auto& [name, column] : sums) {
    writer.add(std::string_view(name));
    writer.add(column.tokens);
    writer.add(std::span<const double>(column.sums), name);
  }
  return std::move(writer).finish();
}

Result<TensorSums> from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  TensorSums sums;
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    ColumnSums& column = sums[reader.text()];
    column.tokens = reader.number();
    column.sums = reader.reals();
  }
  ASSAY_TRY(reader.finish());
  return sums;
}

Result<std::string> run_batch(const Network& network, std::span<const Window> batch, const ImatrixOptions& options) {
  TensorSums sums;
  const auto count = static_cast<int64_t>(batch.size());
  ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch, [&](int layer, Site site, const at::Tensor& x) {
                 sums[network.tensor_name(layer, site)].add(x, count);
               }));
  if (options.process_output) sums[network.head_tensor()].add(network.final_norm(hidden), count);
  return to_payload(sums);
}

}  // namespace

Result<Imatrix> collect_imatrix(const Network& network, std::span<const Window> windows, const ImatrixOptions& options, Progress& progress,
                                const std::function<Status(const Imatrix&)>& save, UnitCache& units) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "imatrix: no windows");
  TensorSums sums;
  const auto result = [&](size_t done) {
    Imatrix imatrix;
    for (const auto& [name, column] : sums) imatrix.entries[name] = column.entry();
    imatrix.chunk_count = static_cast<uint32_t>(done);
    imatrix.chunk_size = static_cast<uint32_t>(windows[0].tokens.size());
    return imatrix;
  };
  progress.stage("imatrix", windows.size());
  const size_t step = std::max<size_t>(1, kBatchTokens / windows[0].tokens.size());
  size_t saved = 0;
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "imatrix: interrupted");
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    ASSAY_ASSIGN(const std::string payload, find_or_make(units, std::to_string(begin), [&] { return run_batch(network, batch, options); }));
    ASSAY_ASSIGN(const TensorSums fresh, from_payload(payload));
    for (const auto& [name, column] : fresh) sums[name].merge(column);
    const size_t done = begin + batch.size();
    progress.update(done);
    if (save && options.save_frequency > 0 && done / options.save_frequency > saved) {
      saved = done / options.save_frequency;
      ASSAY_TRY(save(result(done)));
    }
  }
  return result(windows.size());
}

}  // namespace assay
