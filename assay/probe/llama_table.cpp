#include "assay/probe/llama_table.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

struct Percentile {
  double fraction;
  const char* key;
  const char* name;
};

constexpr Percentile kDivergence[] = {
    {1, "kld_max", "Maximum KLD"},  {0.999, "kld_99.9", "99.9%   KLD"}, {0.99, "kld_99", "99.0%   KLD"}, {0.95, "kld_95", "95.0%   KLD"},
    {0.9, "kld_90", "90.0%   KLD"}, {0.5, "kld_50", "Median  KLD"},     {0.1, "kld_10", "10.0%   KLD"},  {0.05, "kld_5", " 5.0%   KLD"},
    {0.01, "kld_1", " 1.0%   KLD"}, {0.001, "kld_0.1", " 0.1%   KLD"},  {0, "kld_min", "Minimum KLD"}};
constexpr Percentile kProbability[] = {{1, "dp_max", "Maximum Δp"},   {0.999, "dp_99.9", "99.9%   Δp"}, {0.99, "dp_99", "99.0%   Δp"},
                                       {0.95, "dp_95", "95.0%   Δp"}, {0.9, "dp_90", "90.0%   Δp"},     {0.75, "dp_75", "75.0%   Δp"},
                                       {0.5, "dp_50", "Median  Δp"},  {0.25, "dp_25", "25.0%   Δp"},    {0.1, "dp_10", "10.0%   Δp"},
                                       {0.05, "dp_5", " 5.0%   Δp"},  {0.01, "dp_1", " 1.0%   Δp"},     {0.001, "dp_0.1", " 0.1%   Δp"},
                                       {0, "dp_min", "Minimum Δp"}};

}  // namespace

std::vector<LlamaRow> llama_table(const Observation& observation) {
  const PositionValues& seen = observation.positions();
  const uint64_t count = seen.kl_moments.count();
  if (count < kLlamaMinimumPositions) return {};
  const double n = static_cast<double>(count);
  std::vector<LlamaRow> rows;

  const double nll = seen.nll_moments.mean(), nll_base = seen.nll_base_moments.mean();
  const double error = seen.nll_moments.iid_standard_error(), error_base = seen.nll_base_moments.iid_standard_error();
  const double covariance = (seen.nll_product.mean() - nll * nll_base) / (n - 1);
  const double ppl = std::exp(nll), ppl_base = std::exp(nll_base), ratio = std::exp(nll - nll_base);
  const double ratio_error = std::sqrt(std::max(0.0, error * error + error_base * error_base - 2 * covariance));
  const double difference_square =
      ppl * ppl * error * error + ppl_base * ppl_base * error_base * error_base - 2 * ppl * ppl_base * covariance;
  const double spread = error * error_base;
  const auto perplexity = [&](const char* key, const char* name, double value, std::optional<double> uncertainty, bool percent = false) {
    rows.push_back({LlamaSection::kPerplexity, key, name, value, uncertainty, percent});
  };
  perplexity("ppl", "Mean PPL(Q)", ppl, ppl * error);
  perplexity("ppl_base", "Mean PPL(base)", ppl_base, ppl_base * error_base);
  perplexity("cor_ln_ppl", "Cor(ln(PPL(Q)), ln(PPL(base)))", spread > 0 ? covariance / spread : 1.0, std::nullopt, true);
  perplexity("ln_ppl_ratio", "Mean ln(PPL(Q)/PPL(base))", nll - nll_base, ratio_error);
  perplexity("ppl_ratio", "Mean PPL(Q)/PPL(base)", ratio, ratio * ratio_error);
  perplexity("ppl_difference", "Mean PPL(Q)-PPL(base)", ppl - ppl_base, std::sqrt(std::max(0.0, difference_square)));

  rows.push_back({LlamaSection::kDivergence, "kld_mean", "Mean    KLD", seen.kl_moments.mean(), seen.kl_moments.iid_standard_error()});
  const RankedValues divergences = seen.kl.ranked();
  for (const Percentile& p : kDivergence) rows.push_back({LlamaSection::kDivergence, p.key, p.name, divergences.quantile(p.fraction), {}});

  rows.push_back({LlamaSection::kProbability, "dp_mean", "Mean    Δp", seen.dp_moments.mean(), seen.dp_moments.iid_standard_error(), true});
  const RankedValues changes = seen.dp.ranked();
  for (const Percentile& p : kProbability)
    rows.push_back({LlamaSection::kProbability, p.key, p.name, changes.quantile(p.fraction), {}, true});
  const double rms = std::sqrt(seen.dp_square_moments.mean());
  const double rms_error = rms > 0 ? 0.5 / rms * seen.dp_square_moments.iid_standard_error() : 0;
  rows.push_back({LlamaSection::kProbability, "dp_rms", "RMS Δp", rms, rms_error, true});
  const double same = 1 - observation.flip_rate();
  rows.push_back({LlamaSection::kProbability, "same_top_p", "Same top p", same, std::sqrt(same * (1 - same) / (n - 1)), true});
  return rows;
}

}  // namespace assay
