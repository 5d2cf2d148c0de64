// What the AWQ study is told, and what it measured, also as JSON and CSV (methods.md 4.3). Torch-free.
// Non-goals: running it (job/study_awq.h).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/gguf.h"
#include "assay/probe/statistics.h"
#include "assay/study/conclusion.h"

namespace assay {

struct AwqStudyConfig {
  std::string name = "awq";
  std::vector<GgmlType> types = {GgmlType::kQ4_0, GgmlType::kQ4_K, GgmlType::kQ3_K, GgmlType::kQ2_K};
  std::vector<int> bits = {4, 3};  // of the grids
  uint64_t group = 128;            // weights, of the grids
  uint64_t calibration_windows = 8;
  uint64_t windows = 24;            // of the evaluation text; 0: all
  std::vector<Criterion> criteria;  // empty: default_awq_criteria()
  uint64_t seed = 42;
};
Result<AwqStudyConfig> parse_awq_config(std::string_view text, bool yaml, const std::string& who);
Result<AwqStudyConfig> read_awq_config(const std::string& path);
// "AWQ lowers KL at Q4_K": the interval of the change lies below 0, with the imatrix on both sides.
std::vector<Criterion> default_awq_criteria(const std::vector<GgmlType>& types);
std::string awq_statistic(const std::string& target);  // "change of KL by AWQ at Q4_K"

// One way to round every matrix of the blocks; the rest stays.
struct AwqRow {
  std::string target;   // "Q4_K", "4 bits, groups of 128"
  std::string method;   // "plain", "imatrix", "AWQ", "AWQ, imatrix", ...
  std::string against;  // the method it is compared with; empty: none
  Interval kl;
  double ppl = 0;
  Interval change;  // of mean KL, as a share; with `against`
};

// Losses over alpha of one place, means over the blocks, over that at 0.
struct AwqCurve {
  std::string target, place;
  std::vector<double> losses;
  std::vector<double> alphas;  // chosen, by block
};

// Of the middle block: mean |x| and scale by channel, the most active first.
struct AwqChannels {
  std::string place;
  std::vector<double> mean, scale;
};

struct AwqStudyResult : StudyConclusion {
  double base_ppl = 0;
  std::vector<AwqRow> rows;
  std::vector<AwqCurve> curves;
  std::vector<AwqChannels> channels;
  std::vector<double> clip_shares;  // of the first grid: how many groups keep 1, 0.95, ... 0.55 of their largest |w|
  uint64_t calibration_tokens = 0, windows = 0, documents = 0, tokens_scored = 0;
  std::string interval;
};

nlohmann::ordered_json to_json(const AwqStudyResult& result);
std::string rows_csv(const AwqStudyResult& result);
// "alpha", "channels", "clips", "change", each .svg and .png.
Result<std::vector<std::string>> write_figures(const AwqStudyResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
