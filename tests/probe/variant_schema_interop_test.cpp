// docs/schema/variant.schema.json, docs/variants.md and the reader say the same: every example fits, every fault does not.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "assay/file/yaml_text.h"
#include "assay/probe/variant_io.h"
#include "tests/interop/python.h"
#include "tests/probe/small_shape.h"
#include "tests/probe/variant_examples.h"
#include "tests/probe/variant_faults.h"

namespace assay {
namespace {

using namespace testing_files;
using namespace testing_variants;
using nlohmann::json;

constexpr const char* kSchema = ASSAY_SOURCE_DIR "/docs/schema/variant.schema.json";

struct Example {
  VariantFormat format;
  std::string text;
};

std::vector<Example> examples() {
  const std::string text = get_file(ASSAY_SOURCE_DIR "/docs/variants.md");
  const std::regex block("```(json|yaml)\n([^`]*)```");
  std::vector<Example> found;
  for (std::sregex_iterator at(text.begin(), text.end(), block), end; at != end; ++at)
    found.push_back({(*at)[1] == "yaml" ? VariantFormat::kYaml : VariantFormat::kJson, (*at)[2]});
  return found;
}

// 12 layers, width 512, wide enough for every example.
ModelShape wide_shape() {
  Metadata metadata = tiny::metadata("llama");
  metadata.set("llama.block_count", MetaValue::u32(12));
  metadata.set("llama.embedding_length", MetaValue::u32(512));
  metadata.set("llama.feed_forward_length", MetaValue::u32(1024));
  const Hyper hyper = parse_hyper(metadata, true).value();
  std::vector<TensorInfo> tensors = tiny::tensors_of(hyper);
  for (TensorInfo& tensor : tensors)
    if (tensor.n_dims == 2) tensor.type = GgmlType::kQ8_0;
  return ModelShape(hyper, tensors);
}

void collect_properties(const json& node, std::set<std::string>& names) {
  if (node.is_object()) {
    if (const auto found = node.find("properties"); found != node.end() && found->is_object())
      for (const auto& [name, schema] : found->items()) names.insert(name);
    for (const auto& [name, child] : node.items()) collect_properties(child, names);
  } else if (node.is_array()) {
    for (const json& child : node) collect_properties(child, names);
  }
}

TEST(VariantSchema, EveryKeyHasAnExample) {
  std::set<std::string> names;
  collect_properties(json::parse(get_file(kSchema)), names);
  EXPECT_GT(names.size(), 35u);
  std::string all;
  for (const Example& example : examples()) all += example.text;
  for (const std::string& name : names) EXPECT_NE(all.find("\"" + name + "\":"), std::string::npos) << "no example has '" << name << "'";
  const json schema = json::parse(get_file(kSchema));
  for (const json& form : schema["$defs"]["family"]["oneOf"]) {
    const json& family = form["properties"]["family"];
    for (const json& name : family.contains("enum") ? family["enum"] : json::array({family["const"]}))
      EXPECT_NE(all.find(name.dump()), std::string::npos) << "no example of the family " << name;
  }
}

TEST(VariantSchema, ExamplesApply) {
  const ModelShape shape = wide_shape();
  const auto all = examples();
  EXPECT_GE(all.size(), 8u);
  for (const Example& example : all) {
    auto file = parse_variants(example.text, example.format, "docs/variants.md");
    ASSERT_TRUE(file) << file.error().message << "\n" << example.text;
    std::erase_if(file->families, [](const Family& family) { return !family.file.empty(); });
    const auto set = expand(*file, shape);
    EXPECT_TRUE(set) << set.error().message << "\n" << example.text;
  }
}

TEST(VariantSchema, AgreesWithTheReader) {
  const ScratchDirectory scratch;
  std::vector<std::string> good = {kSchema}, bad = {kSchema};
  const auto put = [&](std::vector<std::string>& list, const std::string& name, const std::string& text) {
    list.push_back(scratch / (name + "-" + std::to_string(list.size()) + ".json"));
    put_file(list.back(), text);
  };
  put(good, "forms", kEveryForm);
  for (const Example& example : examples())
    put(good, "example", example.format == VariantFormat::kYaml ? parse_yaml(example.text, "f").value().dump() : example.text);
  for (const Fault& fault : every_fault()) {
    put(good, "good", fault.good);
    if (fault.in_schema) put(bad, "bad", fault.bad);
  }
  // Shortest forms, as written.
  json written = json::array();
  const auto forms = parse_variants(kEveryForm, VariantFormat::kJson, "f");
  ASSERT_TRUE(forms);
  for (const Variant& variant : forms->variants) written.push_back(to_json(variant));
  put(good, "written", written.dump());
  const auto fits = interop::run_python({"jsonschema"}, "check_schema.py", good);
  EXPECT_EQ(fits.exit_code, 0) << fits.output;
  const auto refused = interop::run_python({"jsonschema"}, "check_schema.py", bad);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_GT(bad.size(), 50u);
  for (size_t i = 1; i < bad.size(); ++i)
    EXPECT_NE(refused.output.find(bad[i] + ":"), std::string::npos) << "the schema takes " << get_file(bad[i]);
}

}  // namespace
}  // namespace assay
