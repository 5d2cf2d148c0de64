#include <map>

#include "assay/job/score_stages.h"
#include "assay/job/table_rows.h"
#include "assay/score/pass_score.h"

namespace assay {
namespace {

// Units of a family of scores; what one of them had is at hand for the next, with or without a store.
class FamilyUnits {
 public:
  explicit FamilyUnits(std::unique_ptr<UnitCache> kept) : kept_(std::move(kept)) {}
  bool has(const std::string& name) const { return at_hand_.contains(name); }
  Result<std::string> unit(const std::string& name, const std::function<Result<std::string>()>& make) {
    const auto found = at_hand_.find(name);
    if (found != at_hand_.end()) return found->second;
    ASSAY_ASSIGN(std::string payload, find_or_make(*kept_, name, make));
    return at_hand_[name] = std::move(payload);
  }
  Result<std::string> unit_anew(const std::string& name, const std::function<Result<std::string>()>& make) {
    ASSAY_ASSIGN(std::string payload, make_anew(*kept_, name, make));
    return at_hand_[name] = std::move(payload);
  }

 private:
  std::unique_ptr<UnitCache> kept_;
  std::map<std::string, std::string> at_hand_;
};

FamilyUnits units_of(const ScoreRun& run, const std::string& family) {
  UnitKey key = run.store->key("pass score");
  key.add("family", family).add("windows", fingerprint(run.set.windows));
  key.add("imatrix", run.given_imatrix ? fingerprint(*run.given_imatrix) : "");
  return FamilyUnits(run.store->units(std::move(key)));
}

}  // namespace

Status score_passes(ScoreRun& run) {
  std::map<std::string, FamilyUnits> families;
  for (const auto& [score, place] : run.of_kind<PassScore>()) {
    ASSAY_TRY(run.stop_if_asked());
    FamilyUnits& units = families.try_emplace(score->family(), units_of(run, score->family())).first->second;
    PassRun pass{run.model.network,
                 network_options(run.settings),
                 run.set.windows,
                 run.layers,
                 run.options.types,
                 [&run](const std::string& tensor) { return run.types_of(tensor); },
                 [&run](const std::string& tensor, GgmlType type) { return run.encoded->stored(tensor, type); },
                 {},
                 *run.context,
                 run.budget,
                 [&units](const std::string& name, const std::function<Result<std::string>()>& make) { return units.unit(name, make); },
                 run.progress,
                 [&units](const std::string& name) { return units.has(name); }};
    pass.pass.seed = run.settings.seed;
    pass.pass.memory = tile_memory(run.settings);
    pass.weights = run.weights.get();
    pass.unit_anew = [&units](const std::string& name, const std::function<Result<std::string>()>& make) {
      return units.unit_anew(name, make);
    };
    if (!run.spend(score->estimate(pass), place)) continue;
    ScoreTable& out = run.table(place);
    const Stopwatch watch(out.seconds);
    ASSAY_ASSIGN(PassRows made, score->rows(pass));
    run.budget += made.unspent;
    out.rows = std::move(made.rows);
    out.forward_equivalents = made.forward_equivalents;
    out.notes.insert(out.notes.end(), made.notes.begin(), made.notes.end());
  }
  return {};
}

}  // namespace assay
