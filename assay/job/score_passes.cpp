#include "assay/job/score_stages.h"
#include "assay/job/table_rows.h"
#include "assay/score/pass_score.h"

namespace assay {

Status score_passes(ScoreRun& run) {
  for (const auto& [score, place] : run.of_kind<PassScore>()) {
    ASSAY_TRY(run.stop_if_asked());
    UnitKey key = run.store->key("pass score");
    key.add("score", score->info().name).add("windows", fingerprint(run.set.windows));
    key.add("imatrix", run.given_imatrix ? fingerprint(*run.given_imatrix) : "");
    const auto units = run.store->units(std::move(key));
    PassRun pass{
        run.model.network,
        network_options(run.settings),
        run.set.windows,
        run.layers,
        run.options.types,
        [&run](const std::string& tensor) { return run.types_of(tensor); },
        [&run](const std::string& tensor, GgmlType type) { return run.encoded->stored(tensor, type); },
        {},
        *run.context,
        run.budget,
        [&units](const std::string& name, const std::function<Result<std::string>()>& make) { return find_or_make(*units, name, make); },
        run.progress};
    pass.pass.seed = run.settings.seed;
    pass.pass.memory = tile_memory(run.settings);
    if (!run.spend(score->estimate(pass), place)) continue;
    ScoreTable& out = run.table(place);
    const Stopwatch watch(out.seconds);
    ASSAY_ASSIGN(PassRows made, score->rows(pass));
    out.rows = std::move(made.rows);
    out.forward_equivalents = made.forward_equivalents;
    out.notes.insert(out.notes.end(), made.notes.begin(), made.notes.end());
  }
  return {};
}

}  // namespace assay
