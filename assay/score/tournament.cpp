#include "assay/score/tournament.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/score/role_permutation.h"
#include "assay/score/strata.h"

namespace assay {
namespace {

// Random numbers beside those of the resampled windows (substream 0) and of the permutations (2).
constexpr uint64_t kBlockStream = 1;
// A permutation that gives the same sum in another order must count as a hit.
constexpr double kTie = 1e-12;

enum Look : size_t { kOverall, kWithinType, kWithinRole, kWithinTensor, kLooks };
constexpr Look kAllLooks[] = {kOverall, kWithinType, kWithinRole, kWithinTensor};

// One score as a sample of items sees it: per look the order of its values and its ranks in the sample itself.
struct Contender {
  size_t index = 0;  // among all scores
  std::vector<double> values;
  std::vector<StratifiedOrder> orders;     // [look]
  std::vector<std::vector<double>> ranks;  // [look][item]
};

// Statistics of one score in every resample.
struct Draws {
  std::array<std::vector<double>, kLooks> spearman;
  std::vector<double> given_size;
};

std::vector<double> ranks_of(const StratifiedOrder& order, std::span<const uint32_t> counts, size_t items) {
  std::vector<double> ranks(items);
  order.standard_ranks(counts, ranks);
  return ranks;
}

void keep(std::vector<double>& draws, std::optional<double> value) {
  if (value) draws.push_back(*value);
}

// Empty where fewer than half of the resamples have an answer.
std::optional<Interval> interval_of(std::optional<double> value, std::vector<double>&& draws, uint32_t resamples) {
  if (!value || draws.size() < (resamples + 1) / 2) return std::nullopt;
  return percentile_interval(*value, std::move(draws));
}

// The scores that speak of the same items, and those items.
class Bout {
 public:
  Bout(const TournamentTruth& truth, std::vector<uint32_t> items, std::span<const TournamentScore> scores,
       const std::vector<size_t>& members, const TournamentOptions& options);
  // Into the judgement of each score; neither Holm's correction nor the verdict.
  void judge(std::span<const TournamentScore> scores, std::vector<ScoreJudgement>& judgements) const;

 private:
  std::vector<Draws> over_blocks() const;
  std::vector<Draws> over_documents() const;
  void add_draw(std::span<const uint32_t> counts, Look look, const std::vector<double>& truth, const std::vector<double>& size,
                const std::vector<std::vector<double>>* score_ranks, std::vector<Draws>& draws) const;
  void add_chance(std::vector<ScoreJudgement>& judgements) const;

  const TournamentTruth& source_;
  const TournamentOptions& options_;
  std::vector<uint32_t> items_;  // among those of the truth
  std::vector<double> truth_;
  std::array<Strata, kLooks> strata_;
  std::vector<RoleCell> cells_;
  Strata blocks_;                              // items of each layer, or tensor outside the layers
  std::vector<StratifiedOrder> truth_orders_;  // [look]
  std::vector<std::vector<double>> truth_ranks_;
  std::vector<StratifiedOrder> size_order_;  // one: within types
  std::vector<double> size_ranks_;
  std::vector<Contender> contenders_;
};

Bout::Bout(const TournamentTruth& truth, std::vector<uint32_t> items, std::span<const TournamentScore> scores,
           const std::vector<size_t>& members, const TournamentOptions& options)
    : source_(truth), options_(options), items_(std::move(items)) {
  std::vector<std::string> names, types, roles, blocks;
  std::vector<double> sizes;
  for (const uint32_t i : items_) {
    const TournamentItem& item = truth.items[i];
    truth_.push_back(item.truth);
    names.push_back(item.name);
    types.push_back(item.type);
    roles.push_back(item.role + '\n' + item.type);
    blocks.push_back(item.layer < 0 ? item.name : std::to_string(item.layer));
    cells_.push_back({item.role, blocks.back(), item.layer, item.type});
    sizes.push_back(static_cast<double>(item.elements));
  }
  strata_ = {strata_of(std::vector<std::string>(items_.size())), strata_of(types), strata_of(roles), strata_of(names)};
  blocks_ = strata_of(blocks);
  size_order_.emplace_back(sizes, strata_[kWithinType]);
  size_ranks_ = ranks_of(size_order_[0], {}, items_.size());
  for (const Strata& strata : strata_) {
    truth_orders_.emplace_back(truth_, strata);
    truth_ranks_.push_back(ranks_of(truth_orders_.back(), {}, items_.size()));
  }
  for (const size_t index : members) {
    Contender contender{index, {}, {}, {}};
    for (const uint32_t i : items_) contender.values.push_back(scores[index].values[i]);
    for (const Strata& strata : strata_) {
      contender.orders.emplace_back(contender.values, strata);
      contender.ranks.push_back(ranks_of(contender.orders.back(), {}, items_.size()));
    }
    contenders_.push_back(std::move(contender));
  }
}

// One resample's statistics of every score; `score_ranks`: of the resample, null where it holds each item once.
void Bout::add_draw(std::span<const uint32_t> counts, Look look, const std::vector<double>& truth, const std::vector<double>& size,
                    const std::vector<std::vector<double>>* score_ranks, std::vector<Draws>& draws) const {
  for (size_t s = 0; s < contenders_.size(); ++s) {
    const std::vector<double>& ranks = score_ranks ? (*score_ranks)[s] : contenders_[s].ranks[look];
    keep(draws[s].spearman[look], mean_spearman(counts, ranks, truth));
    if (look == kWithinType) keep(draws[s].given_size, partial_spearman(counts, ranks, truth, size));
  }
}

std::vector<Draws> Bout::over_blocks() const {
  std::vector<Draws> draws(contenders_.size());
  std::vector<uint32_t> counts(items_.size());
  std::vector<double> truth(items_.size()), size(items_.size());
  std::vector<std::vector<double>> score_ranks(contenders_.size(), std::vector<double>(items_.size()));
  for (uint32_t r = 0; r < options_.resamples; ++r) {
    CounterRandom random(options_.seed, r, kBlockStream);
    std::fill(counts.begin(), counts.end(), 0U);
    for (size_t d = 0; d < blocks_.size(); ++d)
      for (const uint32_t item : blocks_[random.next_below(blocks_.size())]) ++counts[item];
    size_order_[0].standard_ranks(counts, size);
    for (const Look look : kAllLooks) {
      truth_orders_[look].standard_ranks(counts, truth);
      for (size_t s = 0; s < contenders_.size(); ++s) contenders_[s].orders[look].standard_ranks(counts, score_ranks[s]);
      add_draw(counts, look, truth, size, &score_ranks, draws);
    }
  }
  return draws;
}

std::vector<Draws> Bout::over_documents() const {
  std::vector<Draws> draws(contenders_.size());
  if (source_.windows.empty()) return draws;
  const WindowResampler resampler(source_.windows[0], {options_.resamples, options_.seed});
  const size_t windows = source_.windows[0].size();
  std::vector<double> sums;  // [items, windows]
  for (const uint32_t i : items_)
    for (const WindowSums& window : source_.windows[i]) sums.push_back(window.*source_.sum);
  std::vector<double> truth(items_.size());
  for (uint32_t r = 0; r < options_.resamples; ++r) {
    const std::vector<uint32_t> counts = resampler.counts(r);
    if (counts.empty()) break;
    const std::vector<double> weights(counts.begin(), counts.end());
    // Windows have the same tokens for every item, so the order of the sums is that of the means.
    for (size_t i = 0; i < items_.size(); ++i) truth[i] = dot({}, weights, std::span(sums).subspan(i * windows, windows));
    for (const Look look : kAllLooks)
      add_draw({}, look, ranks_of(StratifiedOrder(truth, strata_[look]), {}, items_.size()), size_ranks_, nullptr, draws);
  }
  return draws;
}

// What the line through `given` leaves of `ranks`.
std::vector<double> residual_of(std::vector<double> ranks, std::span<const double> given) {
  const double square = dot({}, given, given), slope = square > 0 ? dot({}, ranks, given) / square : 0;
  for (size_t i = 0; i < ranks.size(); ++i) ranks[i] -= slope * given[i];
  return ranks;
}

void Bout::add_chance(std::vector<ScoreJudgement>& judgements) const {
  struct Chance {
    std::vector<double> residual;  // of the score given size
    double observed = 0;           // sum of products with the truth
    uint32_t hits = 0, hits_given_size = 0;
    Moments spread;
  };
  const std::vector<double>& truth = truth_ranks_[kWithinType];
  const double items = dot({}, truth, truth);
  std::vector<Chance> chances;
  for (const Contender& contender : contenders_) {
    const std::vector<double>& ranks = contender.ranks[kWithinType];
    chances.push_back({residual_of(ranks, size_ranks_), dot({}, ranks, truth), 0, 0, {}});
  }
  const RolePermutation permutation(cells_);
  std::vector<uint32_t> from(items_.size());
  std::vector<double> taken(items_.size());
  const auto take = [&](const std::vector<double>& values) -> const std::vector<double>& {
    for (size_t i = 0; i < from.size(); ++i) taken[i] = values[from[i]];
    return taken;
  };
  for (uint32_t draw = 0; draw < options_.permutations; ++draw) {
    permutation.draw(options_.seed, draw, from);
    for (size_t s = 0; s < contenders_.size(); ++s) {
      Chance& chance = chances[s];
      const double product = dot({}, take(contenders_[s].ranks[kWithinType]), truth);
      chance.spread.add(items > 0 ? product / items : 0);
      chance.hits += product >= chance.observed - kTie * items;
      const auto& observed = judgements[contenders_[s].index].given_size.value;
      const auto drawn = observed ? partial_spearman({}, take(chance.residual), truth, size_ranks_) : std::nullopt;
      chance.hits_given_size += !drawn || *drawn >= *observed - kTie;
    }
  }
  for (size_t s = 0; s < contenders_.size(); ++s) {
    ScoreJudgement& judgement = judgements[contenders_[s].index];
    judgement.p = (1.0 + chances[s].hits) / (1.0 + options_.permutations);
    judgement.p_given_size = (1.0 + chances[s].hits_given_size) / (1.0 + options_.permutations);
    const double mean = chances[s].spread.mean(), deviation = std::sqrt(std::max(0.0, chances[s].spread.mean_square() - mean * mean));
    judgement.smallest_detectable = deviation > kTie ? smallest_detectable_rho(deviation) : 1;
  }
}

Calibration calibrate(std::span<const double> score, std::span<const double> truth, bool same_unit) {
  Calibration result;
  CompensatedSum product, square, score_sum, truth_sum;
  Moments log_score, log_truth;
  for (size_t i = 0; i < score.size(); ++i) {
    product.add(score[i] * truth[i]);
    square.add(score[i] * score[i]);
    score_sum.add(score[i]);
    truth_sum.add(truth[i]);
    if (score[i] <= 0 || truth[i] <= 0) continue;
    log_score.add(std::log(score[i]));
    log_truth.add(std::log(truth[i]));
  }
  if (same_unit && square.value() > 0) result.slope = product.value() / square.value();
  if (same_unit && truth_sum.value() != 0) result.ratio = score_sum.value() / truth_sum.value();
  result.positive = log_score.count();
  CompensatedSum xx, xy, yy;
  for (size_t i = 0; i < score.size(); ++i) {
    if (score[i] <= 0 || truth[i] <= 0) continue;
    const double x = std::log(score[i]) - log_score.mean(), y = std::log(truth[i]) - log_truth.mean();
    xx.add(x * x);
    xy.add(x * y);
    yy.add(y * y);
  }
  if (result.positive < 3 || xx.value() <= 0 || yy.value() <= 0) return result;
  result.log_slope = xy.value() / xx.value();
  result.log_r_squared = std::min(1.0, xy.value() * xy.value() / (xx.value() * yy.value()));
  return result;
}

void Bout::judge(std::span<const TournamentScore> scores, std::vector<ScoreJudgement>& judgements) const {
  std::vector<Draws> blocks = over_blocks(), documents = over_documents();
  for (size_t s = 0; s < contenders_.size(); ++s) {
    const Contender& contender = contenders_[s];
    ScoreJudgement& judgement = judgements[contender.index];
    judgement.items = items_.size();
    judgement.tensors = strata_[kWithinTensor].size();
    judgement.blocks = blocks_.size();
    judgement.types = strata_[kWithinType].size();
    const std::array<RankAgreement*, kLooks> looks = {&judgement.overall, &judgement.within_type, &judgement.within_role,
                                                      &judgement.within_tensor};
    const auto with_intervals = [&](std::optional<double> value, std::vector<double>& by_block, std::vector<double>& by_document) {
      return RankStatistic{value, interval_of(value, std::move(by_block), options_.resamples),
                           interval_of(value, std::move(by_document), options_.resamples)};
    };
    for (size_t look = 0; look < kLooks; ++look) {
      looks[look]->spearman = with_intervals(mean_spearman({}, contender.ranks[look], truth_ranks_[look]), blocks[s].spearman[look],
                                             documents[s].spearman[look]);
      looks[look]->kendall = mean_kendall(contender.values, truth_, strata_[look]);
      looks[look]->top_overlap = mean_top_overlap(contender.values, truth_, strata_[look], options_.top_share);
    }
    judgement.given_size = with_intervals(partial_spearman({}, contender.ranks[kWithinType], truth_ranks_[kWithinType], size_ranks_),
                                          blocks[s].given_size, documents[s].given_size);
    judgement.calibration = calibrate(contender.values, truth_, scores[contender.index].same_unit);
  }
  add_chance(judgements);
}

Status check_truth(const TournamentTruth& truth) {
  if (truth.items.empty()) return fail(ErrorCode::kUsage, "tournament: no items to judge by");
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const TournamentItem& item : truth.items) {
    const std::string who = "tournament: truth of '" + printable(item.name) + "' at type '" + printable(item.type) + "'";
    if (!std::isfinite(item.truth)) return fail(ErrorCode::kBadInput, {who, "is not finite", "needed a number", ""});
    if (!seen.emplace(item.name, item.type).second) return fail(ErrorCode::kBadInput, {who, "occurs twice", "needed once", ""});
  }
  if (truth.windows.empty()) return {};
  if (truth.windows.size() != truth.items.size())
    return fail(ErrorCode::kUsage, "tournament: windows of " + std::to_string(truth.windows.size()) + " items; needed those of " +
                                       std::to_string(truth.items.size()));
  const auto same = [](const WindowSums& a, const WindowSums& b) { return a.document == b.document && a.count == b.count; };
  for (size_t i = 0; i < truth.items.size(); ++i) {
    const auto &a = truth.windows[0], &b = truth.windows[i];
    if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), same))
      return fail(ErrorCode::kMismatch, "tournament: '" + printable(truth.items[i].name) + "' was measured on other windows than '" +
                                            printable(truth.items[0].name) + "'");
    for (const WindowSums& window : b)
      if (!std::isfinite(window.*truth.sum))
        return fail(ErrorCode::kBadInput, "tournament: a window of '" + printable(truth.items[i].name) + "' is not finite");
  }
  return {};
}

Status check_score(const TournamentScore& score, const TournamentTruth& truth) {
  if (score.values.size() != truth.items.size())
    return fail(ErrorCode::kUsage, "tournament: score '" + printable(score.name) + "' has " + std::to_string(score.values.size()) +
                                       " values; needed " + std::to_string(truth.items.size()));
  for (size_t i = 0; i < score.values.size(); ++i)
    if (std::isinf(score.values[i]))
      return fail(ErrorCode::kBadInput, "tournament: score '" + printable(score.name) + "' of '" + printable(truth.items[i].name) +
                                            "' is infinite; needed a number, or NaN where it says nothing");
  return {};
}

}  // namespace

Result<std::vector<ScoreJudgement>> judge_scores(const TournamentTruth& truth, std::span<const TournamentScore> scores,
                                                 const TournamentOptions& options) {
  if (options.resamples == 0 || options.permutations == 0)
    return fail(ErrorCode::kUsage, "tournament: resamples and permutations: at least 1");
  if (!(options.top_share > 0 && options.top_share <= 1)) return fail(ErrorCode::kUsage, "tournament: top share: above 0, at most 1");
  ASSAY_TRY(check_truth(truth));
  std::map<std::vector<uint32_t>, std::vector<size_t>> bouts;  // scores by the items they speak of
  std::vector<ScoreJudgement> judgements(scores.size());
  for (size_t s = 0; s < scores.size(); ++s) {
    ASSAY_TRY(check_score(scores[s], truth));
    std::vector<uint32_t> items;
    for (size_t i = 0; i < truth.items.size(); ++i)
      if (!std::isnan(scores[s].values[i])) items.push_back(static_cast<uint32_t>(i));
    bouts[std::move(items)].push_back(s);
    judgements[s].name = scores[s].name;
  }
  for (const auto& [items, members] : bouts)
    if (!items.empty()) Bout(truth, items, scores, members, options).judge(scores, judgements);
  std::vector<double> p, p_given_size;
  for (const ScoreJudgement& judgement : judgements) {
    p.push_back(judgement.p);
    p_given_size.push_back(judgement.p_given_size);
  }
  const std::vector<double> corrected = holm(p), corrected_given_size = holm(p_given_size);
  for (size_t s = 0; s < judgements.size(); ++s) {
    ScoreJudgement& judgement = judgements[s];
    judgement.p_holm = corrected[s];
    judgement.p_given_size_holm = corrected_given_size[s];
    judgement.verdict =
        decide({judgement.overall.spearman, judgement.within_type.spearman, judgement.within_tensor.spearman, judgement.given_size,
                judgement.blocks, judgement.p, judgement.p_holm, judgement.p_given_size_holm, judgement.smallest_detectable});
  }
  return judgements;
}

}  // namespace assay
