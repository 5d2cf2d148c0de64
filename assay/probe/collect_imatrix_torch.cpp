#include <algorithm>

#include "assay/base/text.h"
#include "assay/probe/collect_imatrix.h"
#include "assay/probe/input_squares.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;

Result<std::string> run_batch(const Network& network, std::span<const Window> batch, const ImatrixOptions& options) {
  InputSquares squares;
  const auto count = static_cast<int64_t>(batch.size());
  ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch, [&](int layer, Site site, const at::Tensor& x) {
                 squares.add(network.tensor_name(layer, site), x, count);
               }));
  if (options.process_output) squares.add(network.head_tensor(), network.final_norm(hidden), count);
  PayloadWriter writer;
  squares.write(writer);
  return std::move(writer).finish();
}

}  // namespace

Result<Imatrix> collect_imatrix(const Network& network, std::span<const Window> windows, const ImatrixOptions& options, Progress& progress,
                                const std::function<Status(const Imatrix&)>& save, UnitCache& units) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "imatrix: no windows");
  InputTotals totals;
  const auto result = [&](size_t done) { return totals.imatrix(done, windows[0].tokens.size()); };
  progress.stage("imatrix", windows.size());
  const size_t step = std::max<size_t>(1, kBatchTokens / windows[0].tokens.size());
  units.plan((windows.size() + step - 1) / step);
  const size_t frequency = save ? options.save_frequency : 0;
  for (size_t begin = 0, count = 0; begin < windows.size(); begin += count) {
    count = std::min(step, windows.size() - begin);
    if (frequency > 0) count = std::min(count, frequency - begin % frequency);  // stop where a save is due
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "imatrix: interrupted");
    const auto batch = windows.subspan(begin, count);
    const std::string unit = std::to_string(begin) + "+" + std::to_string(count);
    ASSAY_ASSIGN(const std::string payload, find_or_make(units, unit, [&] { return run_batch(network, batch, options); }));
    PayloadReader reader(payload);
    const InputSquares fresh = InputSquares::read(reader);
    ASSAY_TRY(reader.finish());
    totals.add(fresh, count);
    const size_t done = begin + count;
    progress.update(done);
    if (frequency > 0 && done % frequency == 0) ASSAY_TRY(save(result(done)));
  }
  return result(windows.size());
}

}  // namespace assay
