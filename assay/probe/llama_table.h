// llama.cpp's whole table of `llama-perplexity --kl-divergence`: its names, definitions and order (methods.md 1.8), so that figures can be
// held against published ones. Its errors take scored tokens as independent, which they are not: too small; our intervals (statistics.h)
// resample documents. Percentiles follow quantile_sketch.h: exact up to 10^6 positions. Torch-free. Non-goals: other tools' tables.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "assay/probe/observation.h"

namespace assay {

enum class LlamaSection { kPerplexity, kDivergence, kProbability };

struct LlamaRow {
  LlamaSection section;
  const char* key;              // in JSON
  const char* name;             // as llama.cpp prints it
  double value = 0;             // nats; probabilities as fractions
  std::optional<double> error;  // one standard error, tokens taken as independent
  bool percent = false;         // printed times 100
};

// llama.cpp prints no statistics of fewer scored positions.
inline constexpr uint64_t kLlamaMinimumPositions = 100;

// Of an observation that kept its positions; empty below kLlamaMinimumPositions.
std::vector<LlamaRow> llama_table(const Observation& observation);

}  // namespace assay
