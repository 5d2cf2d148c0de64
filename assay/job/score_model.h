// Many sensitivity scores of one model together (`assay score`): each layer decoded once, each matrix quantized once per type, one forward
// pass for all that look at activations. Torch-free header.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/score/score.h"

namespace assay {

struct ScoreModelOptions {
  std::string model;
  TextInput text;                   // empty path: none; scores that need one are refused by name
  std::vector<std::string> scores;  // names, "all", "default" (score/registry.h)
  std::vector<GgmlType> types;      // of the scores that have a value per type
  std::string imatrix;              // for the encoders; empty: encode without importance
  double token_fraction = 0.25;     // curvature: share of tokens in the per-type products
  uint32_t samples = 1;             // curvature: residual draws per window
  // Forwards of one window that scores with passes of their own may take together, in the registry's order; none: no limit.
  std::optional<double> budget;
  // Where values of single weights go (weight_files.h), of the scores that are sums of such; empty: nowhere. force: over files there.
  std::string weights;
  // Where the curvature's first-order terms go (plan/terms_file.h); empty: nowhere. force: over a file there too.
  std::string terms;
  bool force = false;
};

// What the file of terms holds.
struct TermsWritten {
  std::string path;
  size_t cells = 0, terms = 0;  // terms: of each cell
  uint64_t bytes = 0;
};

// Values of single weights, as written.
struct WeightFile {
  std::string score, path;
  std::optional<GgmlType> type;  // none: of the weights as they are
  size_t tensors = 0;
  uint64_t elements = 0, bytes = 0;
  std::vector<std::pair<double, double>> shares;  // of the sum of their sizes: what the largest part of the weights hold (kTopParts)
};

struct Scored {
  ScoreInfo info;
  ScoreTable table;
};

struct ScoreModelResult {
  std::string model_sha256;
  std::vector<Scored> scores;
  uint64_t tokens_scored = 0, windows = 0, documents = 0;                                    // 0: no text was needed
  double forward_seconds = 0, gradient_seconds = 0, decode_seconds = 0, encode_seconds = 0;  // shared by several scores
  std::vector<WeightFile> weight_files;
  TermsWritten terms;                        // no path: none
  std::vector<std::string> without_weights;  // scores that were to be written and are no sums over weights
  UnitCounts units;
};

// Names and what they say of themselves, in the registry's order.
std::vector<ScoreInfo> score_infos();

Result<ScoreModelResult> score_model(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
