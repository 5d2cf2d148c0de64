#include "assay/probe/variant_io.h"

#include <nlohmann/json.hpp>
#include <set>

#include "tests/file/test_files.h"
#include "tests/probe/variant_examples.h"
#include "tests/probe/variant_faults.h"

namespace assay {
namespace {

using namespace testing_files;
using namespace testing_variants;
using nlohmann::json;
using testing::HasSubstr;

Result<VariantFile> parse(const std::string& text) { return parse_variants(text, VariantFormat::kJson, "f.json"); }

std::vector<Variant> variants_of(const std::string& text) {
  const auto file = parse(text);
  EXPECT_TRUE(file) << file.error().message << "\n" << text;
  return file ? file->variants : std::vector<Variant>();
}

json written(const std::vector<Variant>& variants) {
  json list = json::array();
  for (const Variant& variant : variants) list.push_back(to_json(variant));
  return list;
}

// Block style, one scalar a line: a different text of the same tree.
void put_yaml(const json& node, const std::string& indent, std::string& out) {
  if (node.is_structured()) {
    for (const auto& [key, value] : node.items()) {
      out += indent + (node.is_object() ? key + ":" : "-") + "\n";
      put_yaml(value, indent + "  ", out);
    }
  } else {
    out += indent + node.dump() + "\n";
  }
}

TEST(VariantIo, RoundTrip) {
  const auto variants = variants_of(kEveryForm);
  ASSERT_EQ(variants.size(), json::parse(kEveryForm).size());
  const json once = written(variants), twice = written(variants_of(once.dump()));
  EXPECT_EQ(once, twice);
  for (size_t i = 0; i < variants.size(); ++i) EXPECT_EQ(canonical(variants[i]), canonical(variants_of(once.dump())[i]));
  // Only shorthands are written otherwise than they were given.
  json expected = json::parse(kEveryForm);
  for (json& variant : expected) {
    if (!variant.contains("weights")) continue;
    for (json& edit : variant["weights"]) {
      if (!edit.contains("layer")) continue;
      const std::string block = "blk." + edit["layer"].dump();
      edit["tensor"] = block + (edit.contains("head") ? ".attn_output.weight" : ".ffn_down.weight");
      if (edit.contains("channel")) edit["column"] = edit["channel"];
      edit.erase("layer"), edit.erase("channel");
    }
  }
  EXPECT_EQ(once, expected);
}

TEST(VariantIo, FieldsMeanWhatTheySay) {
  const auto v = variants_of(kEveryForm);
  EXPECT_EQ(v[0].name, "x");
  EXPECT_EQ(v[0].weights[0].where.kind, Selection::Kind::kCoordinates);
  EXPECT_EQ(v[0].weights[0].where.coordinates[0].row, 12u);
  EXPECT_EQ(v[0].weights[0].where.coordinates[0].column, 34u);
  EXPECT_EQ(v[1].weights[0].action, WeightEdit::Action::kScale);
  EXPECT_EQ(v[1].weights[0].value, 1.01);
  EXPECT_EQ(v[5].weights[0].byte, 17u);
  EXPECT_EQ(v[5].weights[0].step, -1);
  EXPECT_EQ(v[6].weights[0].type, GgmlType::kQ8_0);
  EXPECT_EQ(v[6].weights[0].share, 0.5);
  EXPECT_EQ(v[9].weights[0].value, 1);  // a b once
  EXPECT_EQ(v[11].weights[0].seed, UINT64_MAX);
  EXPECT_EQ(v[12].weights[0].tensor, "blk.1.attn_output.weight");
  EXPECT_EQ(v[12].weights[0].where.kind, Selection::Kind::kHead);
  EXPECT_EQ(v[12].weights[1].tensor, "blk.1.ffn_down.weight");
  EXPECT_EQ(v[12].weights[1].where.kind, Selection::Kind::kColumn);
  EXPECT_EQ(v[14].schedule[0].last, 2);
  EXPECT_EQ(v[14].schedule[0].part, ScheduleEdit::Part::kAttention);
  EXPECT_EQ(v[15].schedule[1].times, 2);
  EXPECT_EQ(v[17].attention[3].basis, "f.safetensors");
  EXPECT_EQ(v[18].residual[0].rank, 1);
}

TEST(VariantIo, YamlEqualsJson) {
  const json tree = json::parse(kEveryForm);
  std::string yaml;
  put_yaml(tree, "", yaml);
  const auto from_yaml = parse_variants(yaml, VariantFormat::kYaml, "f.yaml");
  ASSERT_TRUE(from_yaml) << from_yaml.error().message << "\n" << yaml;
  EXPECT_EQ(written(from_yaml->variants), written(variants_of(kEveryForm)));
  const auto flow = parse_variants(kEveryForm, VariantFormat::kYaml, "f.yaml");
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_EQ(written(flow->variants), written(variants_of(kEveryForm)));
}

TEST(VariantIo, FilesAreReadByTheirName) {
  const ScratchDirectory scratch;
  put_file(scratch / "a.json", R"({"variants": [{"schedule": [{"skip": 1}]}]})");
  put_file(scratch / "a.yml", "variants:\n- schedule:\n  - skip: 1\n");
  for (const char* name : {"a.json", "a.yml"}) {
    const auto file = read_variants(scratch / name);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->variants[0].schedule[0].first, 1);
  }
  EXPECT_EQ(read_variants(scratch / "none.json").error().code, ErrorCode::kNotFound);
}

TEST(VariantIo, HashIsOfTheChangeAlone) {
  const auto hash = [](const std::string& text) { return hash_of(variants_of("[" + text + "]").at(0)); };
  const std::string one = hash(R"({"name": "a", "weights": [{"tensor": "t", "at": [[1, 2]], "set": 0}]})");
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one, hash(R"({"weights": [{"set": 0.0, "at": [[1, 2]], "tensor": "t"}], "name": "b"})"));
  EXPECT_EQ(one, hash(R"({"weights": [{"tensor": "t", "at": [[1, 2]], "set": -0.0}]})"));
  EXPECT_NE(one, hash(R"({"weights": [{"tensor": "t", "at": [[1, 2]], "add": 0}]})"));
  EXPECT_NE(one, hash(R"({"weights": [{"tensor": "u", "at": [[1, 2]], "set": 0}]})"));
  EXPECT_NE(one, hash(R"({"weights": [{"tensor": "t", "at": [[2, 1]], "set": 0}]})"));
  EXPECT_EQ(hash(R"({"weights": [{"tensor": "t", "at": [[1, 2], [0, 5]], "set": 0}]})"),
            hash(R"({"weights": [{"tensor": "t", "at": [[0, 5], [1, 2]], "set": 0}]})"));
  EXPECT_EQ(hash(R"({"weights": [{"layer": 3, "head": 2, "set": 0}]})"),
            hash(R"({"weights": [{"tensor": "blk.3.attn_output.weight", "head": 2, "set": 0}]})"));
  EXPECT_EQ(hash(R"({"schedule": [{"skip": [3, 3], "part": "block"}]})"), hash(R"({"schedule": [{"skip": 3}]})"));
  // The order of edits counts: set, then scale, is another change.
  EXPECT_NE(hash(R"({"weights": [{"tensor": "t", "set": 1}, {"tensor": "t", "scale": 2}]})"),
            hash(R"({"weights": [{"tensor": "t", "scale": 2}, {"tensor": "t", "set": 1}]})"));
  // Every variant of the list is another change.
  std::set<std::string> hashes;
  for (const Variant& variant : variants_of(kEveryForm)) hashes.insert(hash_of(variant));
  EXPECT_EQ(hashes.size(), json::parse(kEveryForm).size());
}

TEST(VariantIo, RefusesWithThePlace) {
  for (const Fault& fault : every_fault()) {
    const auto good = parse(fault.good);
    EXPECT_TRUE(good) << fault.good << ": " << good.error().message;
    const auto bad = parse(fault.bad);
    ASSERT_FALSE(bad) << fault.bad;
    EXPECT_EQ(bad.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(bad.error().message, HasSubstr(fault.message)) << fault.bad;
  }
}

}  // namespace
}  // namespace assay
