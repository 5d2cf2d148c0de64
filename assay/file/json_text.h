// JSON from untrusted files into a tree: bounded depth, errors as values, and a choice about repeated keys.
// Non-goals: streaming (the safetensors header has its own handler), writing.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

enum class RepeatedKeys {
  kRefuse,    // two readers could see two different files
  kLastWins,  // what Python's json does; for files that Python wrote and nothing depends on
};

// `who` opens every message: "safetensors: model.safetensors.index.json".
Result<nlohmann::json> parse_json(std::string_view text, const std::string& who, RepeatedKeys repeated);

}  // namespace assay
