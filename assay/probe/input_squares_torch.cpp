#include "assay/probe/input_squares.h"

namespace assay {

void InputSquares::add(const std::string& tensor, const at::Tensor& x, int64_t windows) {
  const at::Tensor sums = x.to(at::kCPU).square().view({windows, -1, x.size(1)}).sum(1).contiguous();
  const float* values = sums.const_data_ptr<float>();
  tensors_[tensor] = {static_cast<uint64_t>(x.size(0)), std::vector<float>(values, values + sums.numel())};
}

void InputSquares::write(PayloadWriter& writer) const {
  writer.add(uint64_t{tensors_.size()});
  for (const auto& [name, squares] : tensors_) {
    writer.add(std::string_view(name));
    writer.add(squares.tokens);
    writer.add(std::span<const float>(squares.sums), name);
  }
}

InputSquares InputSquares::read(PayloadReader& reader) {
  InputSquares batch;
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    Sums& squares = batch.tensors_[reader.text()];
    squares.tokens = reader.number();
    squares.sums = reader.floats();
  }
  return batch;
}

void InputTotals::add(const InputSquares& batch, size_t windows) {
  for (const auto& [name, squares] : batch.tensors_) {
    Totals& totals = tensors_[name];
    totals.sums.resize(squares.sums.size() / windows);
    for (size_t i = 0; i < squares.sums.size(); ++i) totals.sums[i % totals.sums.size()] += static_cast<double>(squares.sums[i]);
    totals.tokens += squares.tokens;
  }
}

Imatrix InputTotals::imatrix(size_t windows, size_t tokens_per_window) const {
  Imatrix imatrix;
  for (const auto& [name, totals] : tensors_) {
    ImatrixEntry& entry = imatrix.entries[name];
    entry.columns = totals.sums.size();
    for (const double sum : totals.sums) entry.sums.push_back(static_cast<float>(sum));
    entry.counts = {static_cast<float>(totals.tokens)};
  }
  imatrix.chunk_count = static_cast<uint32_t>(windows);
  imatrix.chunk_size = static_cast<uint32_t>(tokens_per_window);
  return imatrix;
}

}  // namespace assay
