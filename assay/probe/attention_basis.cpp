#include "assay/probe/attention_basis.h"

#include "assay/base/text.h"

namespace assay {

std::string_view name_of(BasisKind kind) {
  constexpr std::string_view kNames[] = {"residual", "centred", "context", "values", "random"};
  return kNames[static_cast<size_t>(kind)];
}

Result<BasisKind> basis_kind(std::string_view name) {
  for (const BasisKind kind : kBasisKinds)
    if (name == name_of(kind)) return kind;
  return fail(ErrorCode::kUsage,
              {"basis '" + printable(std::string(name)) + "'", "is not known", "residual, centred, context, values or random", ""});
}

double retained_share(const SecondMoment& moment, std::span<const float> rows, int rank) {
  const size_t d = moment.sum.size();
  double all = 0, kept = 0;
  for (size_t i = 0; i < d; ++i) all += moment.square[i * d + i];
  if (all <= 0) return 1;
  for (size_t r = 0; r < static_cast<size_t>(rank); ++r) {
    const float* row = rows.data() + r * d;
    for (size_t i = 0; i < d; ++i) {
      double along = 0;
      for (size_t j = 0; j < d; ++j) along += moment.square[i * d + j] * static_cast<double>(row[j]);
      kept += static_cast<double>(row[i]) * along;
    }
  }
  return kept / all;
}

}  // namespace assay
