// Super weights (arXiv 2411.07191; methods.md 3.13): one forward of the first 16 tokens of the text; where a block's ffn_down has an entry
// beyond 50 in its input and one in its output, the weight at (channel of the output's largest entry, channel of the input's) makes a
// massive activation that the rest of the model needs. It is taken out (its product subtracted) and the search begins anew, until no block
// has both. The value of every ffn_down, with its super weights in place: min(max|input|, max|output|) / 50, above 1 exactly where the rule
// fires, and a number that models without spikes have too: how close the block comes. Coordinates and weights are in the notes. Needs a
// text: no data-free form exists, the input spike is made by tokens. Leaves out all other matrices, and whether removing the weight really
// hurts: measure that with a variant (docs/variants.md: zero).
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/payload.h"
#include "assay/score/residual_scores.h"
#include "assay/score/super_weights.h"

namespace assay {
namespace {

Window prompt_of(const PassRun& run) {
  Window window = run.windows[0];
  window.tokens.resize(std::min(window.tokens.size(), kSuperWeightTokens));
  return window;
}

class SuperWeights final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "super_weight",
            .what = "spikes in ffn_down's input and output: the lesser peak over 50",
            .pooling = Pooling::kMean,
            .needs_text = true,
            .source = "arXiv 2411.07191; methods.md 3.13"};
  }

  // One round, and one more for each that is found.
  double estimate(const PassRun& run) const override {
    return static_cast<double>(kSuperWeightRounds) * static_cast<double>(kSuperWeightTokens) /
           static_cast<double>(run.windows[0].tokens.size());
  }

  Result<PassRows> rows(const PassRun& run) const override {
    run.progress.stage(info().name, 1);
    ASSAY_ASSIGN(const std::string payload, run.unit("search", [&] { return search(run); }));
    PayloadReader reader(payload);
    const std::vector<double> grades = reader.reals(), found = reader.reals();
    const uint64_t rounds = reader.number();
    ASSAY_TRY(reader.finish());
    PassRows made;
    made.forward_equivalents =
        static_cast<double>(rounds * prompt_of(run).tokens.size()) / static_cast<double>(run.windows[0].tokens.size());
    for (const LayerNumbers& layer : run.layers)
      for (const MatrixShape& matrix : layer.matrices)
        if (layer.layer >= 0 && matrix.role.role == Role::kFfnDown)
          made.rows.push_back(matrix_row(matrix, grades.at(static_cast<size_t>(layer.layer))));
    for (size_t i = 0; i + 3 < found.size(); i += 4)
      made.notes.push_back(fmt::format("super weight at layer {:.0f}, row {:.0f}, column {:.0f} of ffn_down: {:g}", found[i], found[i + 1],
                                       found[i + 2], found[i + 3]));
    if (found.empty()) made.notes.push_back(fmt::format("no super weight: no block has a spike beyond {:g} in both", kSuperWeightSpike));
    if (rounds == kSuperWeightRounds)
      made.notes.push_back(fmt::format("the search ended after {} rounds: there may be more", kSuperWeightRounds));
    return made;
  }

 private:
  static Result<std::string> search(const PassRun& run) {
    ASSAY_ASSIGN(const SuperWeightSearch made, find_super_weights(*run.network, run.windows[0]));
    std::vector<double> found;
    for (const SuperWeight& one : made.found)
      found.insert(found.end(), {double(one.layer), static_cast<double>(one.row), static_cast<double>(one.column), one.weight});
    PayloadWriter writer;
    writer.add(std::span<const double>(made.grades), "super weight grades");
    writer.add(std::span<const double>(found), "super weights");
    writer.add(made.rounds);
    return std::move(writer).finish();
  }
};

}  // namespace

std::unique_ptr<Score> super_weight_score() { return std::make_unique<SuperWeights>(); }

}  // namespace assay
