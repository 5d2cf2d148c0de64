// `assay plan --published` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/program.h"
#include "tests/file/test_files.h"

namespace assay::cli_test {
namespace {

using testing::HasSubstr;
using testing_files::get_file;
using testing_files::put_file;

// Four blocks of two tensors; q3_K and iq2_ks were measured, the last block was not.
struct PublishedCommand : testing::Test {
  testing_files::ScratchDirectory scratch;
  std::string files;

  void SetUp() override {
    std::string header = "QTYPE", low = "iq2_ks", high = "q3_K", map;
    for (int layer = 0; layer < 4; ++layer)
      for (const char* role : {"attn_q", "ffn_up"}) {
        const std::string name = "blk." + std::to_string(layer) + "." + role + ".weight";
        const double scale = (layer + 1) * (role[0] == 'a' ? 0.01 : 0.03);
        header += "," + name;
        low += layer == 3 ? ",404" : "," + std::to_string(scale);
        high += layer == 3 ? ",404" : "," + std::to_string(scale / 4);
        map += "m-0000" + std::to_string(layer) + ".gguf:0:" + name + ":shape=(256, 64):dtype=bf16:elements=16384:bytes=32768\n";
      }
    map += "m.gguf:0:output_norm.weight:shape=(256,):dtype=f32:elements=256:bytes=1024\n";
    put_file(scratch / "kld_results.csv", header + "\n" + low + "\n" + high + "\n");
    put_file(scratch / "group0.csv", "QTYPE,group0\nbf16,0\niq2_ks,0.8\nq3_K,0.2\nq4_K,0.05\nQ5_K,0.01\n");
    put_file(scratch / "tensors.bf16.map", map);
    files = "--published " + (scratch / "kld_results.csv") + " --group0 " + (scratch / "group0.csv") + " --map " +
            (scratch / "tensors.bf16.map");
  }
};

TEST_F(PublishedCommand, WritesARecipeOfExactBytes) {
  const std::string recipe = scratch / "model.recipe";
  for (const char* objective : {"roles", "rank-1"}) {
    const auto plan = result("plan " + files + " --types iq2_ks,q3_K,q4_K --bpw 3.6 --force -o " + recipe + " --objective " + objective);
    EXPECT_EQ(plan["objective"], std::string("published:") + objective);
    EXPECT_EQ(plan["recipe"].size(), 8u);
    EXPECT_LE(plan["padded_bytes"], plan["budget_bytes"]);
    EXPECT_TRUE(plan["exact"].get<bool>());
    double damage = 0;
    for (const auto& row : plan["rows"]) {
      damage += row["damage"].get<double>();
      const bool last = row["name"].get<std::string>().starts_with("blk.3.");
      const bool kept = objective == std::string("roles") && !last;
      EXPECT_EQ(row["basis"], row["type"] == "q4_K" ? "extrapolated" : kept ? "measured" : "predicted");
    }
    EXPECT_NEAR(plan["predicted_kl"].get<double>(), damage, 1e-12);
    const auto shown = result("recipe show " + recipe + " --model " + (scratch / "tensors.bf16.map"));
    EXPECT_EQ(shown["format"], "thireus");
    EXPECT_EQ(shown["recipe"], plan["recipe"]);
    EXPECT_EQ(shown["size"]["tensor_bytes"], plan["tensor_bytes"]);
    EXPECT_EQ(shown["about"]["inputs"].size(), 2u);
  }
}

TEST_F(PublishedCommand, ItsTableServesPlan) {
  const std::string table = scratch / "table.json", gguf = "demo/reference-9m";
  put_file(scratch / "demo.csv", "QTYPE,blk.0.attn_q.weight,blk.3.ffn_up.weight\nq3_K,0.01,0.02\nq4_K,0.002,0.005\n");
  const auto made = result("plan " + gguf + " --published " + (scratch / "demo.csv") + " --group0 " + (scratch / "group0.csv") +
                           " --types q3_K,q4_K,q5_K --bpw 6 --table-output " + table + " --to yaml -o " + (scratch / "demo.yaml"));
  EXPECT_THAT(get_file(scratch / "demo.yaml"), HasSubstr("assay_recipe: 1"));
  const auto planned = result("plan " + gguf + " --table " + table + " --bpw 6");
  EXPECT_GT(planned["predicted_kl"], 0);
}

TEST_F(PublishedCommand, SaysWhatIsMissing) {
  const auto refused = [&](const std::string& arguments, const std::string& says) {
    const auto done = run("plan " + arguments + " --store none");
    EXPECT_NE(done.exit_code, 0) << arguments;
    EXPECT_THAT(done.output, HasSubstr(says)) << arguments;
  };
  refused(files, "one of --bpw and --size");
  refused(files + " --bpw 3 --types iq2_kss", "did you mean iq2_ks");
  refused(files + " --bpw 3 --types q6_K", "has no number for q6_K");
  refused(files + " --bpw 0.5", "the budget leaves");
  refused(files + " --bpw 3 --objective rank1", "one of rank-1, roles");
  refused(files + " --bpw 3 --keep a=q4_K", "excludes");
  refused(files + " --bpw 3 --to ramp2 -o " + (scratch / "x"), "ramp2");
  refused(files + " --bpw 3 --types iq2_ks --table-output " + (scratch / "t.json"), "types of ggml are needed");
  refused("--bpw 3", "MODEL --table FILE");
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "t.json"));
}

}  // namespace
}  // namespace assay::cli_test
