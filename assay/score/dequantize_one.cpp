// What a matrix adds to the damage of a model that is quantized throughout: KL of the model with every matrix at the type, less its KL with
// every matrix but this one (methods.md 3.2, dequantize-one). Where damages add up it is measured_damage; the difference is what the matrix
// shares with the others. Can be negative: another matrix's error may be made good here. A matrix that cannot take the type stays as it is
// throughout and has no value there. Leaves out mixed recipes.
#include <algorithm>

#include "assay/score/measured_scores.h"

namespace assay {
namespace {

class DequantizeOne final : public VariantScore {
 public:
  ScoreInfo info() const override {
    return {.name = "dequantize_one",
            .what = "measured KL of all matrices at the type, less that of all but this one",
            .unit = "nats per token",
            .by_type = true,
            .needs_text = true,
            .source = "methods.md 3.2 (dequantize one)"};
  }

  // Type after type: everything, then everything but each.
  Result<std::vector<Variant>> variants(const VariantPlan& plan) const override {
    std::vector<Variant> list;
    for (const GgmlType type : plan.types) {
      const std::vector<std::string> tensors = tensors_at(plan, type);
      if (tensors.empty()) continue;
      list.push_back(all_but({}, tensors, type));
      for (const std::string& tensor : tensors) list.push_back(all_but(tensor, tensors, type));
    }
    return list;
  }

  std::vector<ScoreRow> rows(const VariantPlan& plan, std::span<const MeasuredEffect> effects, std::vector<std::string>&) const override {
    std::vector<ScoreRow> rows;
    for (const LayerNumbers& layer : plan.layers)
      for (const MatrixShape& matrix : layer.matrices) rows.push_back({matrix.tensor, {matrix.tensor}, matrix.elements(), {}});
    size_t next = 0;
    for (const GgmlType type : plan.types) {
      const std::vector<std::string> tensors = tensors_at(plan, type);
      if (tensors.empty()) continue;
      const MeasuredEffect& all = effects[next++];
      size_t row = 0;
      for (const std::string& tensor : tensors) {
        while (rows[row].name != tensor) ++row;  // both in the order of the layers
        rows[row].cells.push_back(difference(type, all, effects[next++]));
      }
    }
    return rows;
  }

 private:
  static std::vector<std::string> tensors_at(const VariantPlan& plan, GgmlType type) {
    std::vector<std::string> tensors;
    for (const LayerNumbers& layer : plan.layers)
      for (const MatrixShape& matrix : layer.matrices) {
        const std::vector<GgmlType> types = plan.types_of(matrix.tensor);
        if (std::find(types.begin(), types.end(), type) != types.end()) tensors.push_back(matrix.tensor);
      }
    return tensors;
  }

  static Variant all_but(const std::string& one, const std::vector<std::string>& tensors, GgmlType type) {
    Variant variant;
    for (const std::string& tensor : tensors)
      if (tensor != one) variant.weights.push_back(requantize_edit(tensor, type));
    return variant;
  }

  // The same windows twice: the error is that of the differences.
  static ScoreCell difference(GgmlType type, const MeasuredEffect& all, const MeasuredEffect& but_one) {
    std::vector<double> differences;
    for (size_t w = 0; w < std::min(all.kls.size(), but_one.kls.size()); ++w) differences.push_back(all.kls[w] - but_one.kls[w]);
    return {type, all.kl - but_one.kl, error_over_windows(differences)};
  }
};

}  // namespace

std::unique_ptr<Score> dequantize_one_score() { return std::make_unique<DequantizeOne>(); }

}  // namespace assay
