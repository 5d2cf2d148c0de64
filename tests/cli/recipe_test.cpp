// `assay recipe` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/program.h"
#include "tests/file/test_files.h"

namespace assay::cli_test {
namespace {

using testing::HasSubstr;
using testing_files::get_file;
using testing_files::put_file;

struct RecipeCommand : testing::Test {
  testing_files::ScratchDirectory scratch;
  const std::string demo = "demo/reference-9m";
  // A recipe of two tensors, the rest as stored.
  std::string lines() {
    put_file(scratch / "lines", "^blk\\.0\\.attn_q\\.weight$=q8_0\n^blk\\.3\\.ffn_up\\.weight$=q4_0\n");
    return scratch / "lines";
  }
};

TEST_F(RecipeCommand, ConvertsThroughEveryFormatAndBack) {
  std::string last = lines();
  for (const char* format : {"custom-q", "thireus", "evopress", "yaml", "tensor-types"}) {
    const std::string next = scratch / std::string(format);
    const auto done = run("recipe convert " + last + " " + next + " --to " + format + " --model " + demo);
    ASSERT_EQ(done.exit_code, 0) << done.output;
    EXPECT_THAT(done.output, HasSubstr(": 2 tensors"));
    last = next;
  }
  EXPECT_EQ(get_file(last), get_file(lines()));
}

TEST_F(RecipeCommand, ShowsExactBytes) {
  const auto stored = result("inspect " + demo), shown = result("recipe show " + lines() + " --model " + demo);
  ASSERT_TRUE(shown.contains("size"));
  EXPECT_EQ(shown["format"], "tensor-types");
  uint64_t bytes = 0;
  for (const auto& [type, share] : shown["size"]["types"].items()) bytes += share["bytes"].get<uint64_t>();
  EXPECT_EQ(shown["size"]["tensor_bytes"], bytes);
  EXPECT_EQ(shown["size"]["types"]["q8_0"]["tensors"], 1);
  EXPECT_EQ(shown["size"]["types"]["q4_0"]["tensors"], 1);
}

TEST_F(RecipeCommand, DiffCountsBytesAndDamage) {
  put_file(scratch / "other", "^blk\\.0\\.attn_q\\.weight$=q4_0\n^blk\\.3\\.ffn_up\\.weight$=q4_0\n");
  put_file(scratch / "table.json", R"({"estimator": "by hand", "rows": [{"name": "blk.0.attn_q.weight", "tensors": ["blk.0.attn_q.weight"],
    "cells": [{"type": "Q8_0", "damage": 0.25}, {"type": "Q4_0", "damage": 1.0}]}]})");
  const auto moved = result("recipe diff " + lines() + " " + (scratch / "other") + " --model " + demo + " --table " +
                            (scratch / "table.json") + " --figure " + (scratch / "moved.svg"));
  ASSERT_EQ(moved["changes"].size(), 1u);
  EXPECT_EQ(moved["changes"][0]["tensor"], "blk.0.attn_q.weight");
  EXPECT_EQ(moved["bytes"], moved["changes"][0]["bytes"]);
  EXPECT_LT(moved["bytes"], 0);
  EXPECT_EQ(moved["damage"], 0.75);
  EXPECT_EQ(moved["moves"][0]["role"], "attn_q");
  EXPECT_THAT(get_file(scratch / "moved.svg"), HasSubstr("predicted damage moved"));
}

TEST_F(RecipeCommand, FaultsWriteNothing) {
  const auto refused = [&](const std::string& text, const std::string& message, const std::string& options = "") {
    put_file(scratch / "bad", text);
    const auto done = run("recipe convert " + (scratch / "bad") + " " + (scratch / "out") + " --to yaml --model " + demo + options);
    EXPECT_EQ(done.exit_code, 65) << done.output;
    EXPECT_THAT(done.output, HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(scratch / "out")) << text;
  };
  refused("^blk\\.0\\.atn_q\\.weight$=q8_0", "did you mean blk.0.attn_q.weight");
  refused("^blk\\.0\\.attn_q\\.weight$=q8_8", "did you mean");
  refused("attn_q=q8_0\nattn=q4_0", "by line 1 and q4_0 by line 2");
  refused("assay_recipe: 1\nprovenance: {model_sha256: " + std::string(64, 'a') + "}\ntypes: {blk.0.attn_q.weight: q8_0}",
          "--force uses it");
  refused("assay_recipe: 1\nprediction: {damage: -1}\ntypes: {blk.0.attn_q.weight: q8_0}", "damage is -1");
  refused("{\"config\": " + std::string(1000, '[') + "}", "bad");
  EXPECT_EQ(run("recipe convert " + lines() + " " + (scratch / "out") + " --to ini").exit_code, 64);
  EXPECT_EQ(run("recipe diff " + lines() + " " + lines()).exit_code, 64);
  EXPECT_EQ(run("recipe convert " + lines() + " " + lines() + " --to yaml --force").exit_code, 64);  // over its input
}

}  // namespace
}  // namespace assay::cli_test
