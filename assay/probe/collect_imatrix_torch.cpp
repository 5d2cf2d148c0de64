#include <algorithm>
#include <map>

#include "assay/base/payload.h"
#include "assay/base/text.h"
#include "assay/probe/collect_imatrix.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;

// A matrix's input over the windows of one batch: sums of squares per window and column. Kept apart by window, so that totals do not depend
// on how windows were batched.
struct WindowSquares {
  uint64_t tokens = 0;      // of all windows
  std::vector<float> sums;  // [windows, columns]
};
using BatchSquares = std::map<std::string, WindowSquares>;  // by tensor name

struct ColumnTotals {
  std::vector<double> sums;
  uint64_t tokens = 0;

  void add(const WindowSquares& batch, size_t windows) {
    sums.resize(batch.sums.size() / windows);
    for (size_t i = 0; i < batch.sums.size(); ++i) sums[i % sums.size()] += static_cast<double>(batch.sums[i]);
    tokens += batch.tokens;
  }
  ImatrixEntry entry() const {
    ImatrixEntry entry;
    entry.columns = sums.size();
    for (const double sum : sums) entry.sums.push_back(static_cast<float>(sum));
    entry.counts = {static_cast<float>(tokens)};
    return entry;
  }
};

WindowSquares squares_of(const at::Tensor& x, int64_t windows) {
  const at::Tensor sums = x.to(at::kCPU).square().view({windows, -1, x.size(1)}).sum(1).contiguous();
  const float* values = sums.const_data_ptr<float>();
  return {static_cast<uint64_t>(x.size(0)), std::vector<float>(values, values + sums.numel())};
}

Result<std::string> to_payload(const BatchSquares& batch) {
  PayloadWriter writer;
  writer.add(uint64_t{batch.size()});
  for (const auto& [name, squares] : batch) {
    writer.add(std::string_view(name));
    writer.add(squares.tokens);
    writer.add(std::span<const float>(squares.sums), name);
  }
  return std::move(writer).finish();
}

Result<BatchSquares> from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  BatchSquares batch;
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    WindowSquares& squares = batch[reader.text()];
    squares.tokens = reader.number();
    squares.sums = reader.floats();
  }
  ASSAY_TRY(reader.finish());
  return batch;
}

Result<std::string> run_batch(const Network& network, std::span<const Window> batch, const ImatrixOptions& options) {
  BatchSquares squares;
  const auto count = static_cast<int64_t>(batch.size());
  ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch, [&](int layer, Site site, const at::Tensor& x) {
                 squares[network.tensor_name(layer, site)] = squares_of(x, count);
               }));
  if (options.process_output) squares[network.head_tensor()] = squares_of(network.final_norm(hidden), count);
  return to_payload(squares);
}

}  // namespace

Result<Imatrix> collect_imatrix(const Network& network, std::span<const Window> windows, const ImatrixOptions& options, Progress& progress,
                                const std::function<Status(const Imatrix&)>& save, UnitCache& units) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "imatrix: no windows");
  std::map<std::string, ColumnTotals> totals;
  const auto result = [&](size_t done) {
    Imatrix imatrix;
    for (const auto& [name, column] : totals) imatrix.entries[name] = column.entry();
    imatrix.chunk_count = static_cast<uint32_t>(done);
    imatrix.chunk_size = static_cast<uint32_t>(windows[0].tokens.size());
    return imatrix;
  };
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
    ASSAY_ASSIGN(const BatchSquares fresh, from_payload(payload));
    for (const auto& [name, squares] : fresh) totals[name].add(squares, count);
    const size_t done = begin + count;
    progress.update(done);
    if (frequency > 0 && done % frequency == 0) ASSAY_TRY(save(result(done)));
  }
  return result(windows.size());
}

}  // namespace assay
