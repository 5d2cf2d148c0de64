#include "assay/probe/variant.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "assay/base/sha256.h"
#include "assay/probe/variant_io.h"

namespace assay {

std::string canonical(const Variant& variant) {
  Variant plain = variant;
  plain.name.clear();
  // Order says nothing where every entry is another weight or head.
  for (WeightEdit& edit : plain.weights)
    std::sort(edit.where.coordinates.begin(), edit.where.coordinates.end(),
              [](const Coordinate& a, const Coordinate& b) { return std::tie(a.row, a.column) < std::tie(b.row, b.column); });
  for (AttentionEdit& edit : plain.attention) std::sort(edit.heads.begin(), edit.heads.end());
  return to_json(plain).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string hash_of(const Variant& variant) { return sha256_hex(canonical(variant)); }

std::vector<std::string> files_of(const Variant& variant) {
  std::set<std::string> files;
  for (const WeightEdit& edit : variant.weights)
    if (!edit.file.empty()) files.insert(edit.file);
  for (const AttentionEdit& edit : variant.attention)
    if (!edit.basis.empty()) files.insert(edit.basis);
  return {files.begin(), files.end()};
}

}  // namespace assay
