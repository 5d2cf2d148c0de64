#include "assay/base/sha256.h"
#include "assay/job/table_rows.h"
#include "assay/probe/changes.h"

namespace assay {
namespace {

constexpr const char* kCurvatureEstimator = "curvature:centred";

}  // namespace

CurvatureOptions curvature_options(CurvatureOptions options, const RunSettings& settings) {
  options.seed = settings.seed;
  options.product_compute = settings.compute;
  options.memory = tile_memory(settings);
  return options;
}

Result<CurvatureTable> predict_damage(const OpenModel& model, std::span<const Window> windows, const ChangeSource& changes,
                                      const std::shared_ptr<const Imatrix>& imatrix, const CurvatureOptions& wanted,
                                      const RunSettings& settings, UnitStore& store, DamageTable& table, Progress& progress) {
  const CurvatureOptions curvature = curvature_options(wanted, settings);
  std::vector<CurvatureRequest> requests;
  std::string types;
  for (const DamageRow& row : table.rows) {
    CurvatureRequest request{row.name, {}};
    for (const DamageCell& cell : row.cells) request.types.push_back(cell.type);
    for (const GgmlType type : request.types) types += find_type(type)->name + std::string(",");
    types += ";";
    requests.push_back(std::move(request));
  }
  UnitKey key = store.key("curvature");
  key.add("windows", fingerprint(windows)).add("imatrix", imatrix ? fingerprint(*imatrix) : "").add("types", sha256_hex(types));
  key.add("token fraction", curvature.token_fraction).add("samples", curvature.samples);
  const auto units = store.units(std::move(key));
  ASSAY_ASSIGN(CurvatureTable made, curvature_table(
                                        *model.network, windows, requests,
                                        [&](const std::string& tensor, GgmlType type) { return changes.requantized(tensor, type); },
                                        curvature, progress, *units));
  for (size_t r = 0; r < made.rows.size(); ++r)
    for (size_t c = 0; c < made.rows[r].cells.size(); ++c) {
      table.rows[r].cells[c].damage = made.rows[r].cells[c].damage;
      table.rows[r].cells[c].standard_error = made.rows[r].cells[c].standard_error;
    }
  table.estimator = kCurvatureEstimator;
  return made;
}

}  // namespace assay
