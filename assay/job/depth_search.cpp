#include "assay/job/depth_search.h"

#include <algorithm>
#include <numeric>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr int kInitial = 64, kOffspring = 32, kMostGenerations = 40;
constexpr uint64_t kStream = 0x6465707468;

// What is left out of each layer at hand.
struct State {
  std::vector<bool> attention, ffn;
};

void draw(CounterRandom& random, int k, std::vector<bool>& out) {
  std::vector<size_t> pool(out.size());
  std::iota(pool.begin(), pool.end(), size_t{0});
  draw_to_front(random, static_cast<size_t>(k), pool);
  for (size_t i = 0; i < static_cast<size_t>(k); ++i) out[pool[i]] = true;
}

// One that is out comes back, one that is in goes.
void swap_one(CounterRandom& random, std::vector<bool>& out) {
  std::vector<size_t> in, gone;
  for (size_t i = 0; i < out.size(); ++i) (out[i] ? gone : in).push_back(i);
  if (in.empty() || gone.empty()) return;
  const size_t back = gone[random.next_below(gone.size())], next = in[random.next_below(in.size())];
  out[back] = false;
  out[next] = true;
}

Variant variant_of(const State& state, const std::vector<int>& layers) {
  Variant variant;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!state.attention[i] && !state.ffn[i]) continue;
    const auto part = state.attention[i] && state.ffn[i] ? ScheduleEdit::Part::kBlock
                      : state.attention[i]               ? ScheduleEdit::Part::kAttention
                                                         : ScheduleEdit::Part::kFfn;
    variant.schedule.push_back({ScheduleEdit::Action::kSkip, layers[i], layers[i], part, 1, 1, {}});
  }
  return variant;
}

}  // namespace

Result<DepthSearchResult> search_half_blocks(QpsaRunner& runner, const std::vector<int>& layers, int k, uint64_t seed) {
  const size_t n = layers.size();
  const auto evaluate = [&](const std::vector<State>& states) {
    std::vector<Variant> variants;
    for (const State& state : states) variants.push_back(variant_of(state, layers));
    return runner.measure(variants);
  };
  const auto fittest = [](const std::vector<VariantEffect>& effects) {
    return static_cast<size_t>(
        std::min_element(effects.begin(), effects.end(), [](const VariantEffect& a, const VariantEffect& b) { return a.kl < b.kl; }) -
        effects.begin());
  };
  std::vector<State> states;
  for (int i = 0; i < kInitial; ++i) {
    CounterRandom random(seed, kStream, static_cast<uint64_t>(i));
    State state{std::vector<bool>(n), std::vector<bool>(n)};
    draw(random, k, state.attention);
    draw(random, k, state.ffn);
    states.push_back(std::move(state));
  }
  ASSAY_ASSIGN(std::vector<VariantEffect> effects, evaluate(states));
  State parent = states[fittest(effects)];
  VariantEffect best = effects[fittest(effects)];
  const int generations =
      std::clamp(static_cast<int>(static_cast<double>(k) * static_cast<double>(static_cast<int>(n) - k) / 1.5), 1, kMostGenerations);
  for (int generation = 0; generation < generations; ++generation) {
    states.assign(1, parent);
    for (int child = 0; child < kOffspring; ++child) {
      CounterRandom random(seed, kStream + 1 + static_cast<uint64_t>(generation), static_cast<uint64_t>(child));
      State state = parent;
      const uint64_t swaps = 1 + std::min(random.next_below(3), random.next_below(3));
      for (uint64_t i = 0; i < swaps; ++i) swap_one(random, random.next_below(2) == 0 ? state.attention : state.ffn);
      states.push_back(std::move(state));
    }
    ASSAY_ASSIGN(effects, evaluate(states));
    parent = states[fittest(effects)];
    best = effects[fittest(effects)];
  }
  DepthSearchResult result{{}, {}, best.kl, best.nll_difference, generations};
  for (size_t i = 0; i < n; ++i) {
    if (parent.attention[i]) result.attention.push_back(layers[i]);
    if (parent.ffn[i]) result.ffn.push_back(layers[i]);
  }
  return result;
}

}  // namespace assay
