// Variants from and to JSON and YAML; docs/variants.md has every form, docs/schema/variant.schema.json the schema.
// A file is a list of variants, or {"variants": [...], "families": [...]}. It is untrusted: unknown keys, wrong types, a missing or a
// second action, numbers out of range, names given twice are kBadInput with their place ("edits.json: variants[3].weights[0].level"). What
// only a model can tell (layer 99) is refused by check_variant.h. Files that a variant names are not opened here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/json_object.h"
#include "assay/probe/variant.h"
#include "assay/probe/variant_families.h"

namespace assay {

struct VariantFile {
  std::vector<Variant> variants;
  std::vector<Family> families;
};

enum class VariantFormat { kJson, kYaml };

// .yaml, .yml: YAML; everything else: JSON.
Result<VariantFile> read_variants(const std::string& path);
Result<VariantFile> parse_variants(std::string_view text, VariantFormat format, const std::string& who);
Result<VariantFile> parse_variants(const nlohmann::json& tree, const std::string& who);
Result<Variant> parse_variant(const nlohmann::json& node, const JsonPlace& place);

// Shortest form: defaults are left out, shorthands are written as what they stand for. Parsing it gives the variant back.
nlohmann::json to_json(const Variant& variant);

// "block", "attention", "ffn"
std::string_view name_of(ScheduleEdit::Part part);
Result<ScheduleEdit::Part> parse_part(const nlohmann::json& node, const JsonPlace& place);

}  // namespace assay
