// Super weights that were published for a model (arXiv 2411.07191; methods.md 3.13). Torch-free. Non-goals: finding them in other models
// (score/super_weights.h).
#pragma once

#include <string_view>
#include <vector>

#include "assay/probe/variant.h"

namespace assay {

// A weight of a block's ffn_down, rows are outputs.
struct PublishedSuperWeight {
  int layer = 0;
  Coordinate at;
};

// Of a model by its name or path ("models/Meta-Llama-3-8B", "mistral-7b-v0.1.Q8_0.gguf"): the entry whose words
// stand in it one after another; empty where there is none.
std::vector<PublishedSuperWeight> published_super_weights(std::string_view model);

}  // namespace assay
