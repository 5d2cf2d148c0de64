#include "assay/probe/variant_families.h"

#include <nlohmann/json.hpp>
#include <set>

#include "assay/probe/variant_io.h"
#include "tests/probe/small_shape.h"

namespace assay {
namespace {

using namespace testing_variants;
using testing::ElementsAre;
using testing::HasSubstr;

Result<VariantSet> make(const std::string& families, const std::string& variants = "[]") {
  ASSAY_ASSIGN(const VariantFile file,
               parse_variants(R"({"variants": )" + variants + R"(, "families": [)" + families + "]}", VariantFormat::kJson, "f.json"));
  return expand(file, small_shape());
}

VariantSet set_of(const std::string& families, const std::string& variants = "[]") {
  auto set = make(families, variants);
  EXPECT_TRUE(set) << set.error().message;
  return set ? *set : VariantSet();
}

std::vector<std::string> names(const VariantSet& set) {
  std::vector<std::string> list;
  for (const Variant& variant : set.variants) list.push_back(variant.name);
  return list;
}

TEST(Families, EveryLayer) {
  EXPECT_THAT(names(set_of(R"({"family": "skip-each-layer"})")), ElementsAre("skip 0", "skip 1", "skip 2"));
  const VariantSet attention = set_of(R"({"family": "skip-each-layer", "layers": "1-2", "part": "attention"})");
  EXPECT_THAT(names(attention), ElementsAre("skip 1 attention", "skip 2 attention"));
  EXPECT_EQ(attention.variants[0].schedule[0].part, ScheduleEdit::Part::kAttention);
  const VariantSet repeats = set_of(R"({"family": "repeat-each-layer", "layers": "0,2", "times": 2, "gammas": [1, 0.5]})");
  EXPECT_THAT(names(repeats), ElementsAre("repeat 0 x2", "repeat 0 x2 gamma 0.5", "repeat 2 x2", "repeat 2 x2 gamma 0.5"));
  EXPECT_EQ(repeats.variants[3].schedule[0].gamma, 0.5);
  EXPECT_EQ(repeats.variants[3].schedule[0].times, 2);
}

TEST(Families, PairsHaveTheirSinglesAndOneOfEach) {
  const VariantSet set = set_of(R"({"family": "skip-pairs"}, {"family": "skip-each-layer"})");
  EXPECT_THAT(names(set), ElementsAre("skip 0", "skip 1", "skip 2", "skip 0 + skip 1", "skip 0 + skip 2", "skip 1 + skip 2"));
  ASSERT_EQ(set.groups.size(), 3u);
  EXPECT_THAT(set.groups[1].members, ElementsAre(4, 0, 2));
  EXPECT_EQ(set.variants[4].schedule.size(), 2u);
  // I(S) = A(S) - A({0}) - A({2})
  const double damage[] = {1, 2, 4, 3.5, 7, 6};
  EXPECT_EQ(joint_interaction(set.groups[1], damage), 2);

  const std::string of = R"([{"schedule": [{"skip": 1}]}, {"name": "b", "weights": [{"layer": 0, "head": 1, "set": 0}]},
                             {"name": "c", "attention": [{"layer": 2, "rule": "top-1"}]}])";
  const VariantSet pairs = set_of(R"({"family": "pairs", "of": )" + of + "}");
  EXPECT_EQ(pairs.variants.size(), 6u);
  EXPECT_EQ(pairs.groups.size(), 3u);
  const VariantSet joint = set_of(R"({"family": "joint", "of": )" + of + "}");
  EXPECT_EQ(joint.variants.size(), 4u);
  ASSERT_EQ(joint.groups.size(), 1u);
  EXPECT_THAT(joint.groups[0].members, ElementsAre(3, 0, 1, 2));
  const Variant& all = joint.variants[3];
  EXPECT_EQ(all.schedule.size() + all.weights.size() + all.attention.size(), 3u);
  EXPECT_THAT(all.name, HasSubstr(" + b + c"));
}

TEST(Families, Zero) {
  const std::string at =
      R"("coordinates": [{"tensor": "blk.0.ffn_down.weight", "at": [1, 40]}, {"tensor": "output.weight", "at": [3, 2]}])";
  const VariantSet alone = set_of(R"({"family": "zero", )" + at + "}");
  EXPECT_THAT(names(alone), ElementsAre("blk.0.ffn_down.weight[1,40] = 0", "output.weight[3,2] = 0"));
  EXPECT_TRUE(alone.groups.empty());
  const VariantSet joint = set_of(R"({"family": "zero", "joint": true, )" + at + "}");
  EXPECT_THAT(names(joint), ElementsAre("blk.0.ffn_down.weight[1,40] = 0", "output.weight[3,2] = 0", "zero 2 weights"));
  ASSERT_EQ(joint.groups.size(), 1u);
  EXPECT_THAT(joint.groups[0].members, ElementsAre(2, 0, 1));
  EXPECT_EQ(joint.variants[2].weights.size(), 2u);
}

TEST(Families, LevelsGoBothWaysInEveryMatrix) {
  const std::string tensors = R"("tensors": ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up"])";
  const VariantSet set = set_of(R"({"family": "levels", "samples": 20, "layers": "0-1", )" + tensors + "}");
  ASSERT_EQ(set.variants.size(), 2u * 5 * 20 * 2);
  ASSERT_EQ(set.groups.size(), 2u * 5 * 20);
  std::set<std::string> weights;
  for (const VariantGroup& group : set.groups) {
    EXPECT_EQ(group.kind, VariantGroup::Kind::kTwoSided);
    ASSERT_EQ(group.members.size(), 2u);
    const WeightEdit& up = set.variants[group.members[0]].weights[0];
    const WeightEdit& down = set.variants[group.members[1]].weights[0];
    EXPECT_EQ(up.step, 1);
    EXPECT_EQ(down.step, -1);
    EXPECT_EQ(up.tensor, down.tensor);
    const Coordinate at = up.where.coordinates.at(0);
    EXPECT_EQ(at.row, down.where.coordinates.at(0).row);
    EXPECT_EQ(at.column, down.where.coordinates.at(0).column);
    weights.insert(up.tensor + std::to_string(at.row) + "," + std::to_string(at.column));
  }
  EXPECT_EQ(weights.size(), set.groups.size()) << "no weight twice";
  EXPECT_EQ(set.variants[0].name.find("blk.0.attn_q.weight["), 0u) << set.variants[0].name;
}

TEST(Families, SamplesAreNestedSeededAndOfTheTensorAlone) {
  const auto family = [](const std::string& options) {
    std::set<std::string> found;
    for (const std::string& name : names(set_of(R"({"family": "levels", )" + options + "}"))) found.insert(name);
    return found;
  };
  const auto fifty = family(R"("samples": 50, "tensors": ["attn_q"])"), hundred = family(R"("samples": 100, "tensors": ["attn_q"])");
  EXPECT_EQ(fifty.size(), 300u);
  EXPECT_TRUE(std::includes(hundred.begin(), hundred.end(), fifty.begin(), fifty.end()));
  const auto more = family(R"("samples": 50, "tensors": ["attn_q", "ffn_up"])");
  EXPECT_TRUE(std::includes(more.begin(), more.end(), fifty.begin(), fifty.end()));
  EXPECT_EQ(fifty, family(R"("samples": 50, "tensors": ["attn_q"], "seed": 42)"));
  EXPECT_NE(fifty, family(R"("samples": 50, "tensors": ["attn_q"], "seed": 43)"));
}

TEST(Families, PositionsAreUniformWithoutReplacement) {
  // Pinned: finished measurements are found again under these positions.
  EXPECT_THAT(sample_positions(4, 1000, 42, "t", 0), ElementsAre(728, 344, 925, 669));
  // All of a range: a permutation.
  const auto all = sample_positions(1000, 1000, 42, "t", 0);
  EXPECT_EQ(std::set<uint64_t>(all.begin(), all.end()).size(), 1000u);
  EXPECT_FALSE(std::is_sorted(all.begin(), all.end()));
  EXPECT_NE(all, sample_positions(1000, 1000, 42, "t", 1));
  EXPECT_NE(all, sample_positions(1000, 1000, 42, "u", 0));
  // 16 bins of 1,000 draws each over 2,000 seeds: chi-square of 15 degrees is below 45 with probability 0.9999.
  std::vector<double> bins(16);
  for (uint64_t seed = 0; seed < 2000; ++seed)
    for (const uint64_t position : sample_positions(8, 1600, seed, "t", 0)) ++bins[position / 100];
  double chi = 0;
  for (const double count : bins) chi += (count - 1000) * (count - 1000) / 1000;
  EXPECT_LT(chi, 45);
}

TEST(Families, Bytes) {
  const VariantSet set = set_of(R"({"family": "bytes", "samples": 1632, "layers": "0", "tensors": ["ffn_up"]})");
  ASSERT_EQ(set.variants.size(), 2u * 1632);
  std::set<uint64_t> bytes;
  for (const Variant& variant : set.variants) bytes.insert(variant.weights[0].byte);
  EXPECT_EQ(bytes.size(), 1632u);  // 48 rows of one block of 34 bytes
  EXPECT_EQ(*bytes.rbegin(), 1631u);
  EXPECT_EQ(set.variants[1].weights[0].step, -1);
  EXPECT_THAT(make(R"({"family": "bytes", "samples": 1633, "layers": "0", "tensors": ["ffn_up"]})").error().message,
              HasSubstr("has 1,632 bytes; 1,633 are asked for"));
}

TEST(Families, TopOfARanking) {
  const std::string rankings = R"({"norm": [2, 0, 1], "ablation": [1, 2, 0]})";
  const VariantSet set = set_of(R"({"family": "top", "k": [1, 2], "rankings": )" + rankings + "}");
  EXPECT_THAT(names(set), ElementsAre("ablation: least 1", "ablation: least 2", "norm: least 1", "norm: least 2"));
  const auto blocks = [&](size_t i) {
    std::vector<int> list;
    for (const ScheduleEdit& edit : set.variants[i].schedule) list.push_back(edit.first);
    return list;
  };
  EXPECT_THAT(blocks(0), ElementsAre(0));
  EXPECT_THAT(blocks(1), ElementsAre(0, 2));
  EXPECT_THAT(blocks(2), ElementsAre(1));
  EXPECT_THAT(blocks(3), ElementsAre(0, 1));
  const testing_files::ScratchDirectory scratch;
  testing_files::put_file(scratch / "r.json", rankings);
  EXPECT_EQ(names(set_of(R"({"family": "top", "k": [1, 2], "file": ")" + scratch / "r.json" + "\"}")), names(set));
  testing_files::put_file(scratch / "bad.json", R"({"norm": [2, 0, "1"]})");
  EXPECT_THAT(make(R"({"family": "top", "k": [1], "file": ")" + scratch / "bad.json" + "\"}").error().message,
              HasSubstr("bad.json: norm[2] is \"1\""));
}

TEST(Families, RequantizeLeavesOutWhatCannotBe) {
  const VariantSet set = set_of(R"({"family": "requantize", "types": ["Q4_0", "F16"], "layers": "1"})");
  // Seven matrices; the rows of ffn_down have 48 weights, blocks of Q4_0 32.
  EXPECT_EQ(set.variants.size(), 6u + 7);
  ASSERT_EQ(set.notes.size(), 1u);
  EXPECT_THAT(set.notes[0], HasSubstr("1 of 7 matrices have rows that Q4_0 cannot hold"));
  EXPECT_EQ(set_of(R"({"family": "requantize", "types": ["Q4_0"], "tensors": ["output", "token_embd.weight"]})").variants.size(), 2u);
}

TEST(Families, NamesAreUniqueAndEqualChangesOne) {
  const VariantSet set = set_of(R"({"family": "skip-each-layer"})", R"([{"name": "skip 0", "schedule": [{"skip": 0}]},
      {"name": "skip 1", "schedule": [{"skip": 2}]}, {"schedule": [{"skip": 1}]}, {"schedule": [{"skip": 1}]}])");
  ASSERT_EQ(set.variants.size(), 5u);
  EXPECT_EQ(set.variants[2].name, hash_of(set.variants[2]).substr(0, 12));
  EXPECT_EQ(set.variants[3].name.find("skip 1 #"), 0u) << set.variants[3].name;
  EXPECT_EQ(set.variants[4].name, "skip 2");
}

TEST(Families, RefuseByName) {
  const std::pair<const char*, const char*> faults[] = {
      {R"({"family": "skip-every-layer"})", "f.json: families[0].family is \"skip-every-layer\""},
      {R"({"layers": "1"})", "families[0] has no 'family'"},
      {R"({"family": "skip-each-layer", "times": 2})", "unknown key 'times'"},
      {R"({"family": "skip-each-layer", "layers": "5-3"})", "families[0].layers is \"5-3\"; layers like"},
      {R"({"family": "skip-each-layer", "layers": "0-3"})", "families[0]: layers: 3 is past the end; the model has layers 0 to 2"},
      {R"({"family": "repeat-each-layer", "times": 1, "gammas": [0.5, 1]})", "changes nothing"},
      {R"({"family": "repeat-each-layer", "gammas": []})", "gammas has 0 items"},
      {R"({"family": "levels", "tensors": ["attn_r"]})", "'attn_r' match no matrix"},
      {R"({"family": "levels", "tensors": ["attn_norm"]})", "'attn_norm' match no matrix"},
      {R"({"family": "levels", "samples": 0})", "samples is 0"},
      {R"({"family": "levels", "samples": 513, "tensors": ["attn_k"]})", "has 512 weights; 513 are asked for"},
      {R"({"family": "levels", "samples": 1, "tensors": ["ffn_gate"]})", "F32, which has no codes"},
      {R"({"family": "zero"})", "has no 'coordinates'"},
      {R"({"family": "zero", "coordinates": [{"tensor": "output.weight", "at": [24, 0]}]})", "names row 24; the last is 23"},
      {R"({"family": "zero", "joint": true, "coordinates": [{"tensor": "output.weight", "at": [2, 0]}, {"tensor": "output.weight", "at": [2, 0]}]})",
       "is in one set twice"},
      {R"({"family": "pairs", "of": [{"schedule": [{"skip": 1}]}]})", "of has 1 items"},
      {R"({"family": "pairs", "of": [{"schedule": [{"skip": 1}]}, {"schedule": [{"skip": -1}]}]})",
       "families[0].of[1].schedule[0].skip is -1"},
      {R"({"family": "top", "rankings": {"m": [0, 1]}})", "has no 'k'"},
      {R"({"family": "top", "k": [1]})", "has no ranking"},
      {R"({"family": "top", "k": [1], "file": "f", "rankings": {"m": [0, 1]}})", "has both 'file' and 'rankings'"},
      {R"({"family": "top", "k": [2], "rankings": {"m": [0, 1]}})", "ranking 'm' has 2 layers"},
      {R"({"family": "top", "k": [1], "rankings": {"m": [0, 0]}})", "rankings.m has layer 0 twice"},
      {R"({"family": "top", "k": [1], "rankings": {"m": [0, 7]}})", "names block 7"},
      {R"({"family": "requantize", "types": ["Q4_K"]})", "no matrix has rows that Q4_K can hold"},
      {R"({"family": "requantize", "types": []})", "types has 0 items"},
  };
  for (const auto& [family, message] : faults) {
    const auto set = make(family);
    ASSERT_FALSE(set) << family;
    EXPECT_THAT(set.error().message, HasSubstr(message)) << family;
  }
  EXPECT_THAT(make(R"({"family": "skip-each-layer"})", R"([{"schedule": [{"skip": 0}]}, {"name": "v", "schedule": [{"skip": 9}]}])")
                  .error()
                  .message,
              HasSubstr("variants[1]: variant 'v': schedule[0] names block 9"));
}

}  // namespace
}  // namespace assay
