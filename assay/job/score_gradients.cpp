#include <fmt/format.h>

#include <algorithm>

#include "assay/base/sha256.h"
#include "assay/job/score_stages.h"
#include "assay/job/table_rows.h"
#include "assay/plan/presets.h"
#include "assay/plan/terms_file.h"
#include "assay/score/gradient_run.h"
#include "assay/score/registry.h"

namespace assay {
namespace {

constexpr double kGradientPass = 3;  // one forward and one backward, in forwards

class GradientStage {
 public:
  explicit GradientStage(ScoreRun& run) : run_(run) {}

  // One gradient pass for all scores of gradients.
  Status gradients() {
    std::vector<std::shared_ptr<const GradientScore>> running;
    std::vector<size_t> places;
    for (size_t i = 0; i < run_.scores.size(); ++i)
      if (auto score = std::dynamic_pointer_cast<const GradientScore>(run_.scores[i])) {
        running.push_back(std::move(score));
        places.push_back(i);
      }
    if (running.empty()) return {};
    std::vector<CurvatureRequest> requests;
    std::string types;
    for (const LayerNumbers& layer : run_.layers)
      for (const MatrixShape& matrix : layer.matrices) {
        requests.push_back({matrix.tensor, run_.types_of(matrix.tensor)});
        types += names_of(requests.back().types) + ";";
      }
    UnitKey key = run_.store->key("gradient scores");
    key.add("windows", fingerprint(run_.set.windows)).add("imatrix", run_.given_imatrix ? fingerprint(*run_.given_imatrix) : "");
    key.add("types", sha256_hex(types));
    GradientScoreOptions how;
    how.pass.seed = run_.settings.seed;
    how.pass.memory = tile_memory(run_.settings);
    how.product_compute = run_.settings.compute;
    how.weights = run_.weights.get();
    const auto units = run_.store->units(std::move(key));
    ASSAY_ASSIGN(GradientScoreRun made,
                 run_gradient_scores(
                     *run_.model.network, run_.set.windows, running, requests,
                     [&](const std::string& tensor, GgmlType type) { return run_.encoded->requantized(tensor, type); }, *run_.context, how,
                     run_.progress, *units));
    run_.result.gradient_seconds += made.losses.forward_seconds + made.losses.backward_seconds[0] + made.losses.backward_seconds[1];
    for (size_t s = 0; s < running.size(); ++s) {
      ScoreTable& out = run_.table(places[s]);
      out = std::move(made.tables[s]);
      out.forward_equivalents = out.rows.empty() ? 0 : kGradientPass * run_.passes();
    }
    return {};
  }

  Status curvature() {
    for (const auto& one : run_.of_kind<CurvatureScore>()) {
      DamageTable damage;
      damage.rows = table_rows(*run_.model.checkpoint, run_.options.types, Grouping::kTensor);
      CurvatureOptions wanted;
      wanted.token_fraction = run_.options.token_fraction;
      wanted.samples = run_.options.samples;
      ASSAY_ASSIGN(const CurvatureTable made, predict_damage(run_.model, run_.set.windows, *run_.encoded, run_.given_imatrix, wanted,
                                                             run_.settings, *run_.store, damage, run_.progress));
      ScoreTable& out = run_.table(one.place);
      out.seconds = made.forward_seconds + made.product_seconds;
      out.forward_equivalents = kGradientPass * run_.passes() * run_.options.samples;
      for (const DamageRow& row : damage.rows) {
        ScoreRow fresh{row.name, row.tensors, run_.model.checkpoint->find(row.name)->elements(), {}};
        for (const DamageCell& cell : row.cells) fresh.cells.push_back({cell.type, cell.damage, cell.standard_error});
        out.rows.push_back(std::move(fresh));
      }
      if (!run_.options.terms.empty() && !run_.settings.only_finished) ASSAY_TRY(write_terms(damage, made));
    }
    return {};
  }

  // Cell after cell: what is written is what the table of curvature holds.
  Status write_terms(const DamageTable& damage, const CurvatureTable& made) {
    TermsWritten& written = run_.result.terms;
    for (const CurvatureRow& row : made.rows)
      for (const CurvatureCell& cell : row.cells) ++written.cells, written.terms = cell.terms.size();
    std::map<std::string, std::string> facts;
    ASSAY_ASSIGN(facts["model_sha256"], fingerprint(*run_.model.checkpoint));
    facts["text_sha256"] = run_.set.corpus_sha256;
    facts["windows"] = std::to_string(run_.set.windows.size());
    facts["seed"] = std::to_string(run_.settings.seed);
    facts["samples"] = std::to_string(run_.options.samples);
    facts["token_fraction"] = fmt::format("{}", run_.options.token_fraction);
    if (run_.given_imatrix) facts["imatrix_sha256"] = fingerprint(*run_.given_imatrix);
    OutputOptions options;
    options.force = run_.options.force;
    ASSAY_ASSIGN(TermsWriter file, TermsWriter::create(run_.options.terms, damage, written.terms, std::move(facts), options));
    for (const CurvatureRow& row : made.rows)
      for (const CurvatureCell& cell : row.cells) ASSAY_TRY(file.write(row.tensor, cell.type, cell.terms));
    written.path = run_.options.terms;
    written.bytes = file.bytes();
    return file.commit();
  }

  ScoreRun& run_;
};

}  // namespace

Status score_gradients(ScoreRun& run) {
  GradientStage stage(run);
  ASSAY_TRY(stage.gradients());
  return stage.curvature();
}

}  // namespace assay
