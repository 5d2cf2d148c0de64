#include <cmath>

#include "assay/codes/choose_damping.h"
#include "assay/codes/encode_codes.h"
#include "assay/quant/codec.h"

namespace assay {

Result<std::vector<double>> damping_errors(const DampingTrial& trial) {
  constexpr GgmlType kType = GgmlType::kQ4_0;
  at::NoGradGuard no_grad;
  const GgmlTypeInfo& info = *find_type(kType);
  const at::Tensor weight = trial.weight.contiguous();
  const auto width = static_cast<uint64_t>(weight.size(1));
  std::vector<std::byte> bytes(static_cast<size_t>(weight.numel()) / info.block_size * info.block_bytes);
  at::Tensor decoded = at::empty_like(weight);
  std::vector<double> errors;
  for (const double damping : kDampings) {
    ASSAY_ASSIGN(const SecondMoment moment, SecondMoment::prepare(trial.seen, damping));
    ASSAY_TRY(encode_codes(kType, weight, moment, Codes::kFeedback, at::get_num_threads(), bytes).map([](const CodesReport&) {}));
    ASSAY_TRY(decode(kType, bytes, width, {decoded.mutable_data_ptr<float>(), static_cast<size_t>(decoded.numel())}));
    const at::Tensor error = weight - decoded;
    errors.push_back((error.mm(trial.unseen) * error).sum(at::kDouble).item<double>());
  }
  return errors;
}

double best_damping(std::span<const std::vector<double>> errors) {
  double best = kDampings[0], least = INFINITY;
  for (size_t d = 0; d < std::size(kDampings); ++d) {
    double product = 0;
    for (const std::vector<double>& trial : errors) product += std::log(trial[d]);
    if (product < least) least = product, best = kDampings[d];
  }
  return best;
}

}  // namespace assay
