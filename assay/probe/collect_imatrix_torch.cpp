#include <algorithm>
#include <map>

#include "assay/probe/collect_imatrix.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;

// Column sums of squares in double, one window at a time, so that the batch does not change them.
class ColumnSums {
 public:
  void add(const at::Tensor& x, int64_t windows) {
    const at::Tensor squares = x.to(at::kCPU).square().view({windows, -1, x.size(1)}).sum(1);
    for (int64_t w = 0; w < windows; ++w) sums_ = sums_.defined() ? sums_ + squares[w] : squares[w].to(at::kDouble);
    tokens_ += x.size(0);
  }
  ImatrixEntry entry() const {
    const at::Tensor values = sums_.to(at::kFloat).contiguous();
    ImatrixEntry entry;
    entry.columns = static_cast<uint64_t>(values.numel());
    entry.sums.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
    entry.counts = {static_cast<float>(tokens_)};
    return entry;
  }

 private:
  at::Tensor sums_;
  int64_t tokens_ = 0;
};

}  // namespace

Result<Imatrix> collect_imatrix(const Network& network, std::span<const Window> windows, const ImatrixOptions& options, Progress& progress,
                                const std::function<Status(const Imatrix&)>& save) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "imatrix: no windows");
  std::map<std::string, ColumnSums> sums;
  const auto result = [&](size_t done) {
    Imatrix imatrix;
    for (const auto& [name, column] : sums) imatrix.entries[name] = column.entry();
    imatrix.chunk_count = static_cast<uint32_t>(done);
    imatrix.chunk_size = static_cast<uint32_t>(windows[0].tokens.size());
    return imatrix;
  };
  progress.stage("imatrix", windows.size());
  const size_t batch = std::max<size_t>(1, kBatchTokens / windows[0].tokens.size());
  const size_t frequency = save ? options.save_frequency : 0;
  for (size_t begin = 0, count = 0; begin < windows.size(); begin += count) {
    count = std::min(batch, windows.size() - begin);
    if (frequency > 0) count = std::min(count, frequency - begin % frequency);  // stop where a save is due
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "imatrix: interrupted");
    const auto group = windows.subspan(begin, count);
    ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, group, [&](int layer, Site site, const at::Tensor& x) {
                   sums[network.tensor_name(layer, site)].add(x, static_cast<int64_t>(group.size()));
                 }));
    if (options.process_output) {
      sums[network.head_tensor()].add(network.final_norm(hidden), static_cast<int64_t>(group.size()));
    }
    const size_t done = begin + group.size();
    progress.update(done);
    if (frequency > 0 && done % frequency == 0) ASSAY_TRY(save(result(done)));
  }
  return result(windows.size());
}

}  // namespace assay
