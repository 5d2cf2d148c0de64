// YAML from untrusted files into the tree that the same data has as JSON: one document, bounded depth and size, errors as values.
// Plain scalars are read as YAML 1.2's core schema: integers and decimals, true, false, null; everything else, and everything quoted,
// is text. Refused: repeated keys, aliases (a small file could stand for a huge tree), tags, infinities, keys that are not scalars.
// Non-goals: writing, comments, streams of documents.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

// `who` opens every message: "variants.yaml".
Result<nlohmann::json> parse_yaml(std::string_view text, const std::string& who);

}  // namespace assay
