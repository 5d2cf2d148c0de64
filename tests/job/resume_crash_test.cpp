// A killed run resumes: kill -9 at any moment, the same command again, and the result is that of a run never killed; nothing half-written
// stays under the final name, and finished work is not done twice.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/job/killed_program.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using killed_program::bytes_of;
using killed_program::start;
using killed_program::wait_for;
using nlohmann::json;

class ResumeTest : public testing::Test {
 protected:
  // One run that nothing disturbs, for all tests to compare with.
  static void SetUpTestSuite() {
    scratch_ = fs::path(testing::TempDir()) / ("assay-resume-" + std::to_string(getpid()));
    fs::remove_all(scratch_);
    fs::create_directories(scratch_);
    const auto clock = std::chrono::steady_clock::now();
    ASSERT_EQ(wait_for(start(optimize("store", "whole.gguf"))), 0);
    whole_seconds_ = std::chrono::steady_clock::now() - clock;
  }
  static void TearDownTestSuite() { fs::remove_all(scratch_); }

  static std::string path(const std::string& name) { return (scratch_ / name).string(); }

  static std::vector<std::string> optimize(const std::string& store, const std::string& output, const std::vector<std::string>& more = {}) {
    const std::string demo = ASSAY_SOURCE_DIR "/demo/";
    std::vector<std::string> arguments = {"optimize",
                                          demo + "reference-9m",
                                          "--like",
                                          "Q4_K_M",
                                          "--codes",
                                          "feedback",
                                          "--calibration",
                                          demo + "calibration.txt",
                                          "--evaluation",
                                          demo + "evaluation.txt",
                                          "--ctx",
                                          "128",
                                          "--chunks",
                                          "6",
                                          "--types",
                                          "Q3_K,Q4_K,Q5_K,Q6_K",
                                          "-o",
                                          path(output),
                                          "--json",
                                          path(output + ".json"),
                                          "--store",
                                          path(store),
                                          "--quiet",
                                          "--force"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static json envelope_of(const std::string& output) {
    std::ifstream file(path(output + ".json"));
    return json::parse(file);
  }
  // Without what may differ; the output's name is an option.
  static json result_of(const std::string& output) {
    json envelope = envelope_of(output);
    envelope.erase("run");
    envelope["options"].erase("output");
    return envelope;
  }
  static int units(const std::string& output, const char* which) { return envelope_of(output)["run"][which].get<int>(); }

  static inline fs::path scratch_;
  static inline std::chrono::duration<double> whole_seconds_;
};

TEST_F(ResumeTest, KilledRunEndsAsIfNeverKilled) {
  const int kills = 5;
  for (int i = 1; i <= kills; ++i) {
    const pid_t child = start(optimize("store-of-killed", "killed.gguf"));
    std::this_thread::sleep_for(whole_seconds_ * i / (kills + 1.0));
    kill(child, SIGKILL);
    wait_for(child);
    if (fs::exists(path("killed.gguf"))) {
      EXPECT_EQ(bytes_of(path("killed.gguf")), bytes_of(path("whole.gguf"))) << "a half-written file after kill " << i;
    }
  }
  ASSERT_EQ(wait_for(start(optimize("store-of-killed", "killed.gguf"))), 0);
  EXPECT_EQ(result_of("killed.gguf"), result_of("whole.gguf"));
  EXPECT_EQ(bytes_of(path("killed.gguf")), bytes_of(path("whole.gguf")));
  EXPECT_GT(units("killed.gguf", "units_found"), 0);
  for (const auto& entry : fs::directory_iterator(scratch_))
    EXPECT_EQ(entry.path().string().find(".tmp-assay"), std::string::npos) << entry.path();
}

TEST_F(ResumeTest, SecondRunDoesNothingTwiceAndGivesTheSameBytes) {
  ASSERT_EQ(wait_for(start(optimize("store", "second.gguf"))), 0);
  EXPECT_EQ(result_of("second.gguf"), result_of("whole.gguf"));
  EXPECT_EQ(bytes_of(path("second.gguf")), bytes_of(path("whole.gguf")));
  EXPECT_GT(units("whole.gguf", "units_made"), 0);
  EXPECT_EQ(units("second.gguf", "units_made"), 0);
  // Less is looked up than was made: a measured file need not be written again to be known.
  EXPECT_GT(units("second.gguf", "units_found"), units("whole.gguf", "units_made") / 2);
}

TEST_F(ResumeTest, AnotherSeedFindsNothingOfTheOld) {
  ASSERT_EQ(wait_for(start(optimize("store", "seed.gguf", {"--seed", "5"}))), 0);
  EXPECT_EQ(units("seed.gguf", "units_found"), 0);
  EXPECT_GT(units("seed.gguf", "units_made"), units("whole.gguf", "units_made") / 2);  // another plan, other codes
}

TEST_F(ResumeTest, WithoutAStoreTheResultIsTheSame) {
  std::ofstream(path("file")) << "not a directory";
  ASSERT_EQ(wait_for(start(optimize("file", "bare.gguf"))), 0);
  EXPECT_EQ(units("bare.gguf", "units_found"), 0);
  EXPECT_EQ(result_of("bare.gguf"), result_of("whole.gguf"));
}

}  // namespace
}  // namespace assay
