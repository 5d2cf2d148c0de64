#include <algorithm>
#include <array>
#include <cmath>

#include "assay/score/nsds.h"
#include "assay/score/spectrum.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

// Kurtosis of the entries of A^T B.
double product_kurtosis(const at::Tensor& a, const at::Tensor& b, int threads) {
  const at::Tensor product = a.t().matmul(b).contiguous();
  return excess_kurtosis(weight_moments({product.const_data_ptr<float>(), static_cast<size_t>(product.numel())}, threads));
}

// The leading part of a spectrum.
struct Kept {
  at::Tensor values, vectors;
};
Kept kept(const at::Tensor& values, const at::Tensor& vectors) {
  const int64_t rank = kept_rank(values);
  return {values.narrow(0, 0, rank), vectors.narrow(1, 0, rank)};
}

at::Tensor tensor_of(const MatrixView& matrix) { return as_tensor(matrix.values, matrix.rows, matrix.columns); }

class Nsds : public WeightScore {
 public:
  explicit Nsds(bool faithful) : faithful_(faithful) {}

  ScoreInfo info() const override {
    return {.name = faithful_ ? "nsds_faithful" : "nsds",
            .what = faithful_ ? "NSDS as its program computes it: no expressiveness of down, head size d / heads"
                              : "kurtosis and spectra of a layer's modules, joined",
            .finest = Grouping::kLayer,
            .pooling = Pooling::kMean,
            .source = "NSDS; methods.md 3.9"};
  }

  bool needs_outside() const override { return true; }
  std::string_view numbers_name() const override { return "nsds"; }  // the forms differ in which of them they join

  // The directions of the logits: the right singular vectors of the head that carry 99 % of its energy, [d, k].
  Status prepare(const LayerView& outside, const ScoreContext& context) override {
    at::NoGradGuard no_grad;
    const MatrixView* head = outside.find(Role::kOutput);
    if (head == nullptr) head = outside.find(Role::kTokenEmbd);
    if (head == nullptr) return fail(ErrorCode::kNotFound, "nsds: the model has neither an output matrix nor a token embedding");
    const Spectrum spectrum = right_spectrum(tensor_of(*head), context.threads);
    directions_ = kept(spectrum.values, spectrum.vectors).vectors;
    return {};
  }

  Result<std::vector<double>> numbers(const LayerView& layer, const ScoreContext& context) const override {
    at::NoGradGuard no_grad;
    std::vector<double> raw(kNsdsNumbers, 0.0);
    if (layer.layer < 0) return raw;
    const auto set = [&](size_t module, double nv, double se) {
      raw[module] = nv;
      raw[kNsdsModules + module] = se;
    };
    size_t module = 0;
    for (const Role role : {Role::kFfnUp, Role::kFfnGate}) {
      if (const MatrixView* matrix = layer.find(role)) {
        const Spectrum spectrum = right_spectrum(tensor_of(*matrix), context.threads);
        const Kept top = kept(spectrum.values, spectrum.vectors);
        set(module, kurtosis_of(*matrix, context), capacity(top.values * column_kurtosis(top.vectors).clamp_min(0).log1p()));
      }
      ++module;
    }
    if (const MatrixView* down = layer.find(Role::kFfnDown)) {
      const Spectrum spectrum = left_spectrum(tensor_of(*down), context.threads);
      set(kDown, kurtosis_of(*down, context), capacity(towards_logits(kept(spectrum.values, spectrum.vectors))));
    }
    const int64_t size = context.hyper.head_dim, published = context.hyper.d_model / context.hyper.heads;
    const std::array<double, 4> own = circuits(layer, context, size);
    const std::array<double, 4> as_published = published == size ? own : circuits(layer, context, published);
    set(kOv, own[0], own[2]);
    set(kQk, own[1], own[3]);
    std::ranges::copy(as_published, raw.begin() + 2 * kNsdsModules);
    return raw;
  }

  std::vector<ScoreRow> finish(std::span<const LayerNumbers> layers, const ScoreContext&) const override {
    std::vector<std::vector<double>> raw;
    for (const LayerNumbers& layer : layers)
      if (layer.layer >= 0) raw.push_back(faithful_ ? published_values(layer.numbers) : values(layer.numbers));
    const std::vector<double> scores = join_nsds(raw);
    std::vector<ScoreRow> rows;
    for (const LayerNumbers& layer : layers)
      if (layer.layer >= 0) rows.push_back(layer_row(layer, scores[rows.size()]));
    return rows;
  }

 private:
  static constexpr size_t kDown = 2, kOv = 3, kQk = 4;  // modules

  static std::vector<double> values(const std::vector<double>& numbers) { return {numbers.begin(), numbers.begin() + 2 * kNsdsModules}; }
  static std::vector<double> published_values(const std::vector<double>& numbers) {
    std::vector<double> own = values(numbers);
    own[kNsdsModules + kDown] = 0;
    for (const size_t aspect : {0, 1})
      for (const size_t circuit : {0, 1}) own[aspect * kNsdsModules + kOv + circuit] = numbers[2 * kNsdsModules + 2 * aspect + circuit];
    return own;
  }

  static double kurtosis_of(const MatrixView& matrix, const ScoreContext& context) {
    return excess_kurtosis(weight_moments(matrix.values, context.threads));
  }
  // Singular values by how far their left vectors lie in the directions of the logits.
  at::Tensor towards_logits(const Kept& top) const { return top.values * top.vectors.t().matmul(directions_).norm(2, 1); }

  // The OV and QK circuits of heads of `size` rows, means over the query heads: NV, NV, SE, SE. Rows of a fused matrix are q | k | v.
  std::array<double, 4> circuits(const LayerView& layer, const ScoreContext& context, int64_t size) const {
    const Hyper& hyper = context.hyper;
    const int64_t heads = hyper.heads, kv_heads = hyper.kv_heads;
    at::Tensor q, k, v;
    if (const MatrixView* fused = layer.find(Role::kAttnQkv)) {
      const at::Tensor all = tensor_of(*fused);
      q = all.narrow(0, 0, heads * hyper.head_dim);
      k = all.narrow(0, heads * hyper.head_dim, kv_heads * hyper.head_dim);
      v = all.narrow(0, (heads + kv_heads) * hyper.head_dim, kv_heads * hyper.head_dim);
    } else {
      const MatrixView *mq = layer.find(Role::kAttnQ), *mk = layer.find(Role::kAttnK), *mv = layer.find(Role::kAttnV);
      if (mq == nullptr || mk == nullptr || mv == nullptr) return {};
      q = tensor_of(*mq), k = tensor_of(*mk), v = tensor_of(*mv);
    }
    const MatrixView* out = layer.find(Role::kAttnOutput);
    if (out == nullptr) return {};
    const at::Tensor o = tensor_of(*out).t();  // [heads * head_dim, d]
    double ov_nv = 0, ov_se = 0, qk_nv = 0, qk_se = 0;
    int64_t counted = 0;
    ThinFactor factor_k, factor_v;  // of the keys and values that some heads share
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t kv = h / (heads / kv_heads);
      // With the published head size some models have fewer rows than heads x size; those heads do not exist.
      if ((h + 1) * size > q.size(0) || (kv + 1) * size > k.size(0)) break;
      const at::Tensor hq = q.narrow(0, h * size, size), hk = k.narrow(0, kv * size, size);
      const at::Tensor hv = v.narrow(0, kv * size, size), ho = o.narrow(0, h * size, size);
      if (h % (heads / kv_heads) == 0) factor_k = thin_factor(hk), factor_v = thin_factor(hv);
      const ThinProduct ov = thin_product(thin_factor(ho), factor_v), qk = thin_product(thin_factor(hq), factor_k);
      ov_nv += product_kurtosis(ho, hv, context.threads);
      ov_se += capacity(towards_logits(kept(ov.values, ov.left)));
      qk_nv += product_kurtosis(hq, hk, context.threads);
      const Kept left = kept(qk.values, qk.left), right = kept(qk.values, qk.right);
      const at::Tensor tails = column_kurtosis(left.vectors).clamp_min(0) * column_kurtosis(right.vectors).clamp_min(0);
      qk_se += capacity(left.values * tails.log1p());
      ++counted;
    }
    if (counted == 0) return {};
    const auto n = static_cast<double>(counted);
    return {ov_nv / n, qk_nv / n, ov_se / n, qk_se / n};
  }

  bool faithful_;
  at::Tensor directions_;
};

}  // namespace

std::unique_ptr<Score> nsds_score() { return std::make_unique<Nsds>(false); }
std::unique_ptr<Score> nsds_faithful_score() { return std::make_unique<Nsds>(true); }

}  // namespace assay
