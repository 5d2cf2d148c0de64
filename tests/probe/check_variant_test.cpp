#include "assay/probe/check_variant.h"

#include <nlohmann/json.hpp>

#include "assay/probe/variant_io.h"
#include "tests/probe/small_shape.h"
#include "tests/probe/variant_examples.h"

namespace assay {
namespace {

using namespace testing_variants;
using testing::HasSubstr;

Variant parse(const std::string& text) {
  auto file = parse_variants("[" + text + "]", VariantFormat::kJson, "f.json");
  EXPECT_TRUE(file) << file.error().message;
  return file ? file->variants[0] : Variant();
}

TEST(CheckVariant, EveryFormAppliesToAModelThatHasItsPlaces) {
  const ModelShape shape = small_shape();
  const auto file = parse_variants(kEveryForm, VariantFormat::kJson, "f.json");
  ASSERT_TRUE(file);
  for (const Variant& variant : file->variants) {
    const Status status = check(variant, shape);
    EXPECT_TRUE(status) << status.error().message;
  }
}

TEST(CheckVariant, RefusesByName) {
  const ModelShape shape = small_shape();
  const auto weight = [](const std::string& edit) { return R"({"name": "v", "weights": [)" + edit + "]}"; };
  const std::string edit = R"("weights": [{"tensor": "blk.0.attn_q.weight", "set": 0}])";
  struct Fault {
    std::string good, bad;
    ErrorCode code;
    const char* message;
  };
  const auto mismatch = ErrorCode::kMismatch;
  const Fault faults[] = {
      {weight(R"({"layer": 2, "channel": 0, "set": 0})"), weight(R"({"layer": 99, "channel": 0, "set": 0})"), mismatch,
       "variant 'v': weights[0] names layer 99; the model has layers 0 to 2"},
      {weight(R"({"tensor": "blk.0.attn_q.weight", "set": 0})"), weight(R"({"tensor": "blk.0.attn_q.weigth", "set": 0})"),
       ErrorCode::kNotFound, "the model does not have it (did you mean blk.0.attn_q.weight?)"},
      {weight(R"({"tensor": "blk.0.attn_q.weight", "set": 0})"), weight(R"({"tensor": "blk.0.attn_norm.weight", "set": 0})"), mismatch,
       "is no matrix: it has 1 dimensions"},
      {weight(R"({"tensor": "blk.0.ffn_down.weight", "column": 47, "set": 0})"),
       weight(R"({"tensor": "blk.0.ffn_down.weight", "column": 48, "set": 0})"), mismatch, "names column 48; the last is 47"},
      {weight(R"({"tensor": "blk.0.ffn_down.weight", "row": 31, "set": 0})"),
       weight(R"({"tensor": "blk.0.ffn_down.weight", "row": 32, "set": 0})"), mismatch, "names row 32; the last is 31"},
      {weight(R"({"tensor": "blk.0.ffn_down.weight", "at": [[31, 47]], "set": 0})"),
       weight(R"({"tensor": "blk.0.ffn_down.weight", "at": [[0, 0], [31, 48]], "set": 0})"), mismatch, "names column 48"},
      {weight(R"({"tensor": "blk.0.ffn_down.weight", "at": [[31, 47]], "set": 0})"),
       weight(R"({"tensor": "blk.0.ffn_down.weight", "at": [[32, 47]], "set": 0})"), mismatch, "names row 32"},
      {weight(R"({"layer": 0, "channel": 47, "set": 0})"), weight(R"({"layer": 0, "channel": 48, "set": 0})"), mismatch, "names column 48"},
      {weight(R"({"layer": 0, "head": 3, "set": 0})"), weight(R"({"layer": 0, "head": 4, "set": 0})"), mismatch,
       "names head 4; the last is 3"},
      {weight(R"({"tensor": "blk.0.attn_k.weight", "head": 1, "set": 0})"),
       weight(R"({"tensor": "blk.0.attn_k.weight", "head": 2, "set": 0})"), mismatch, "names head 2; the last is 1"},
      {weight(R"({"tensor": "blk.0.attn_v.weight", "head": 1, "set": 0})"),
       weight(R"({"tensor": "blk.0.ffn_up.weight", "head": 1, "set": 0})"), mismatch, "has no heads"},
      {weight(R"({"tensor": "blk.0.ffn_up.weight", "level": 1})"), weight(R"({"tensor": "blk.0.ffn_gate.weight", "level": 1})"),
       ErrorCode::kUnsupported, "has the type F32, which has no codes"},
      // 48 rows of 32 weights, a block of 34 bytes each.
      {weight(R"({"tensor": "blk.0.ffn_up.weight", "byte": 1631, "step": 1})"),
       weight(R"({"tensor": "blk.0.ffn_up.weight", "byte": 1632, "step": 1})"), mismatch, "names byte 1,632; the last is 1,631"},
      {weight(R"({"tensor": "blk.0.ffn_up.weight", "type": "Q4_0"})"), weight(R"({"tensor": "blk.0.ffn_up.weight", "type": "Q4_K"})"),
       mismatch, "goes to Q4_K with rows of 32; its blocks are 256 wide"},
      {weight(R"({"tensor": "blk.0.ffn_up.weight", "type": "Q8_0"})"), weight(R"({"tensor": "blk.0.ffn_up.weight", "type": "I8"})"),
       ErrorCode::kUnsupported, "goes to the type I8; it cannot be written"},
      {R"({"schedule": [{"skip": 2}]})", R"({"schedule": [{"skip": 3}]})", mismatch, "names block 3"},
      {R"({"schedule": [{"skip": 1, "part": "attention"}], "weights": [{"tensor": "blk.1.ffn_up.weight", "set": 0}]})",
       R"({"schedule": [{"skip": 1, "part": "attention"}], "weights": [{"tensor": "blk.1.attn_q.weight", "set": 0}]})", mismatch,
       "that the schedule leaves out"},
      {R"({"attention": [{"layer": 2, "heads": [3], "rule": "top-1"}]})", R"({"attention": [{"layer": 2, "heads": [4], "rule": "top-1"}]})",
       mismatch, "attention[0] names head 4; the model has heads 0 to 3"},
      {R"({"attention": [{"layer": 2, "rule": "top-1"}]})", R"({"attention": [{"layer": 3, "rule": "top-1"}]})", mismatch, "names layer 3"},
      {R"({"attention": [{"layer": 2, "rule": "top-1"}, {"layer": 1, "rule": "full"}]})",
       R"({"attention": [{"layer": 2, "rule": "top-1"}, {"layer": 2, "heads": [1], "rule": "full"}]})", mismatch,
       "attention[1] gives head 1 of layer 2 a second rule"},
      {R"({"attention": [{"layer": 2, "rule": "low-rank", "k": 8, "basis": "b"}]})",
       R"({"attention": [{"layer": 2, "rule": "low-rank", "k": 9, "basis": "b"}]})", mismatch, "has rank 9; 1 to the heads' 8"},
      {R"({"schedule": [{"skip": 1, "part": "ffn"}], "attention": [{"layer": 1, "rule": "full"}]})",
       R"({"schedule": [{"skip": 1, "part": "attention"}], "attention": [{"layer": 1, "rule": "full"}]})", mismatch,
       "whose attention the schedule leaves out"},
      {"{" + edit + R"(, "residual": [{"first": true, "rank": 32}]})", "{" + edit + R"(, "residual": [{"first": true, "rank": 33}]})",
       mismatch, "has rank 33; 1 to the stream's 32"},
      {"{" + edit + R"(, "residual": [{"first": true}]})", R"({"residual": [{"first": true}]})", mismatch,
       "residual[0] patches a variant that changes no block's output"},
      {"{" + edit + R"(, "residual": [{"first": true}]})",
       R"({"weights": [{"tensor": "output.weight", "set": 0}], "residual": [{"first": true}]})", mismatch, "changes no block's output"},
      {R"({"schedule": [{"skip": 0}], "residual": [{"first": true}]})", R"({"schedule": [{"skip": 2}], "residual": [{"first": true}]})",
       mismatch, "changes no block's output"},
      {"{" + edit + R"(, "residual": [{"replace": 2}]})", "{" + edit + R"(, "residual": [{"replace": 3}]})", mismatch, "names layer 3"},
      {R"({"schedule": [{"skip": 1}], "residual": [{"replace": 2}]})", R"({"schedule": [{"skip": 1}], "residual": [{"replace": 1}]})",
       mismatch, "layer 1, which the schedule leaves out"},
      {R"({"schedule": [{"skip": 1}], "residual": [{"replace": 2}]})",
       R"({"schedule": [{"order": [0, 2, 1]}], "residual": [{"replace": 2}]})", mismatch, "comes with reordered or repeated blocks"},
      {R"({"schedule": [{"skip": 1}], "residual": [{"replace": 2}]})",
       R"({"schedule": [{"repeat": 1, "times": 2}], "residual": [{"replace": 2}]})", mismatch, "comes with reordered or repeated blocks"},
      {"{" + edit + R"(, "residual": [{"replace": 1}, {"replace": 2}]})", "{" + edit + R"(, "residual": [{"replace": 1}, {"replace": 1}]})",
       mismatch, "residual[1] patches a block a second time"},
      {"{" + edit + R"(, "residual": [{"cumulative": true}]})", "{" + edit + R"(, "residual": [{"replace": 1}, {"cumulative": true}]})",
       mismatch, "is cumulative beside another patch"},
  };
  for (const Fault& fault : faults) {
    const Status good = check(parse(fault.good), shape);
    EXPECT_TRUE(good) << fault.good << ": " << good.error().message;
    const Status bad = check(parse(fault.bad), shape);
    ASSERT_FALSE(bad) << fault.bad;
    EXPECT_EQ(bad.error().code, fault.code) << bad.error().message;
    EXPECT_THAT(bad.error().message, HasSubstr(fault.message)) << fault.bad;
  }
}

TEST(CheckVariant, FusedQueriesKeysAndValuesHaveNoHeads) {
  const ModelShape shape = small_shape("gpt2");
  EXPECT_TRUE(check(parse(R"({"weights": [{"tensor": "blk.0.attn_qkv.weight", "row": 95, "set": 0}]})"), shape));
  EXPECT_THAT(check(parse(R"({"weights": [{"tensor": "blk.0.attn_qkv.weight", "head": 0, "set": 0}]})"), shape).error().message,
              HasSubstr("has no heads"));
  EXPECT_THAT(check(parse(R"({"weights": [{"tensor": "blk.0.attn_q.weight", "row": 0, "set": 0}]})"), shape).error().message,
              HasSubstr("the model does not have it"));
}

TEST(CheckVariant, FirstChangedBlock) {
  const auto first = [](const std::string& text) {
    const Variant variant = parse(text);
    const auto steps = expand_schedule(variant, 3);
    EXPECT_TRUE(steps) << steps.error().message;
    return first_changed_block(variant, *steps);
  };
  EXPECT_EQ(first(R"({"weights": [{"layer": 2, "channel": 0, "set": 0}, {"layer": 1, "head": 0, "set": 0}]})"), 1);
  EXPECT_EQ(first(R"({"weights": [{"tensor": "token_embd.weight", "row": 0, "set": 0}]})"), 0);
  EXPECT_EQ(first(R"({"weights": [{"tensor": "output.weight", "row": 0, "set": 0}]})"), std::nullopt);
  EXPECT_EQ(first(R"({"attention": [{"layer": 1, "rule": "top-1"}]})"), 1);
  // Block 2 is the first that runs on another stream.
  EXPECT_EQ(first(R"({"schedule": [{"skip": 1}]})"), 2);
  EXPECT_EQ(first(R"({"schedule": [{"skip": 1, "part": "ffn"}]})"), 1);
  EXPECT_EQ(first(R"({"schedule": [{"skip": 2}]})"), std::nullopt);
  EXPECT_EQ(first(R"({"schedule": [{"skip": 0}], "weights": [{"tensor": "token_embd.weight", "row": 0, "set": 0}]})"), 1);
}

}  // namespace
}  // namespace assay
