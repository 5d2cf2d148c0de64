#include "assay/job/rfic_plan.h"

#include <fmt/format.h>

#include <set>

#include "assay/base/payload.h"

namespace assay {
namespace {

constexpr double kSearchPerWindow = 6;  // of AWQ in forwards of a calibration window: statistics, second moments, 21 roundings

}  // namespace

Result<std::vector<int>> screened_layers(const RficConfig& config, int layers) {
  if (!config.layers.empty()) return layers_of(config.layers, layers);
  const std::set<int> some = {layers / 4, layers / 2, 3 * layers / 4};
  return std::vector<int>(some.begin(), some.end());
}

std::string plan_text(const RficConfig& config, size_t matrices, size_t windows, size_t gate_windows, double window_seconds) {
  const size_t gate = 2 * matrices * config.gate_rules.size() * config.gate_top + 1;
  const double forwards = static_cast<double>(gate * gate_windows) / 2 + 6 * static_cast<double>(windows) +
                          4 * kSearchPerWindow * static_cast<double>(config.calibration_windows);
  return fmt::format(
      "plan: screen {} matrices on {} tokens; gate of up to {} variants on {} windows; 5 models on {} windows, AWQ's scales on {}; about "
      "{:.0f} s",
      matrices, config.tokens, gate, gate_windows, windows, config.calibration_windows, forwards * window_seconds);
}

Result<std::string> rfic_payload(const std::vector<RficCandidate>& candidates) {
  PayloadWriter writer;
  writer.add(uint64_t{candidates.size()});
  for (const RficCandidate& one : candidates) {
    writer.add(static_cast<uint64_t>(one.rule));
    for (const uint64_t number : {one.group, one.row, one.column}) writer.add(number);
    for (const double number : {one.weight, one.empty, one.benefit, one.harm, one.score}) writer.add(number, "candidate");
  }
  return std::move(writer).finish();
}

Result<std::vector<RficCandidate>> rfic_candidates(std::string_view payload) {
  PayloadReader reader(payload);
  std::vector<RficCandidate> all;
  for (uint64_t left = reader.number(); left > 0 && !reader.failed(); --left) {
    RficCandidate one;
    one.rule = static_cast<RficRule>(std::min<uint64_t>(reader.number(), 3));
    for (uint64_t* number : {&one.group, &one.row, &one.column}) *number = reader.number();
    for (double* number : {&one.weight, &one.empty, &one.benefit, &one.harm, &one.score}) *number = reader.real();
    all.push_back(one);
  }
  ASSAY_TRY(reader.finish());
  return all;
}

}  // namespace assay
