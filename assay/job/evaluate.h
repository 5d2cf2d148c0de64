// Perplexity of a model on a text and, with a base model, how its behaviour differs: KL, flips, tails, with clustered intervals.
// Torch-free header.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/probe/kld_file.h"
#include "assay/probe/observation.h"
#include "assay/probe/statistics.h"

namespace assay {

struct EvaluateOptions {
  std::string model;
  // What to compare with; neither: perplexity alone. Both: the stored logits, whose model is at hand to measure the format by.
  std::string base;         // a model
  std::string stored_base;  // a base-logits file (probe/kld_file.h): its own windows; `text` may be empty, else it must give the same
  std::string save_logits;  // write the model's logits there; without a comparison, llama.cpp's windows only
  bool force = false;       // replace an existing save_logits
  TextInput text;
};

struct EvaluateResult {
  double nll = 0;  // nats per scored token
  Interval ppl;
  uint64_t tokens_scored = 0, windows = 0, documents = 0;
  std::string interval_unit;
  std::string corpus_sha256;
  std::optional<Observation> comparison;  // against the base
  std::optional<double> noise_floor;      // nats: observed KL of null variants of the base in these options
  // Of stored logits: how much of a KL their format alone makes. Of the base's own logits where they are at hand (written just now, or a
  // base given beside its file), else of the model's, which stand in for them.
  std::optional<FormatFloor> format_floor;
  bool floor_of_base = false;
  std::vector<std::string> warnings;
  UnitCounts units;
};

Result<EvaluateResult> evaluate(const EvaluateOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
