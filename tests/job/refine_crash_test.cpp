// `optimize --refine` killed at any moment goes on with the same command: the file, the recipe and the result are those of a run never
// killed, and what was measured is not measured again.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "assay/store/run_log.h"
#include "tests/job/killed_program.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using killed_program::bytes_of;
using killed_program::start;
using killed_program::wait_for;
using nlohmann::json;

constexpr int kKills = 4;

class RefineCrash : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(scratch_);
    fs::create_directories(scratch_);
  }
  void TearDown() override { fs::remove_all(scratch_); }

  std::string path(const std::string& name) const { return (scratch_ / name).string(); }

  // The budget is in forward-equivalents, so that the machine's load does not decide what is measured.
  std::vector<std::string> optimize(const std::string& name) const {
    const std::string demo = ASSAY_SOURCE_DIR "/demo/";
    std::vector<std::string> words = {"optimize", demo + "reference-9m",
                                      "--like",   "Q3_K_M",
                                      "--types",  "Q2_K,Q4_K,Q6_K",
                                      "--codes",  "nearest",
                                      "--ctx",    "64",
                                      "--chunks", "8",
                                      "--refine", "12",
                                      "--force",  "--quiet"};
    for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{{"--calibration", demo + "calibration.txt"},
                                                                                        {"--evaluation", demo + "evaluation.txt"},
                                                                                        {"--output", path(name + ".gguf")},
                                                                                        {"--recipe-output", path(name + ".yaml")},
                                                                                        {"--json", path(name + ".json")},
                                                                                        {"--store", path(name + "-store")}}) {
      words.push_back(option);
      words.push_back(value);
    }
    return words;
  }

  json envelope_of(const std::string& name) const { return json::parse(bytes_of(path(name + ".json"))); }
  // Without what may differ: times, and the names of the outputs, which are options.
  json result_of(const std::string& name) const {
    json envelope = envelope_of(name);
    envelope.erase("run");
    for (const char* option : {"output", "recipe-output"}) envelope["options"].erase(option);
    return envelope;
  }

  // Kills the run once its record says that so many units are on the disk, found or made. False: it had ended.
  bool kill_at(pid_t child, uint64_t units) const {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      siginfo_t ended = {};
      waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT);
      const auto runs = list_runs(path("killed-store"));
      const bool reached = runs && !runs->runs.empty() && runs->runs.back().units.found + runs->runs.back().units.made >= units;
      if (!reached && ended.si_pid == 0) continue;
      ::kill(child, SIGKILL);
      return wait_for(child) == 128 + SIGKILL;
    }
  }

  const fs::path scratch_ = fs::path(testing::TempDir()) / ("assay-refine-crash-" + std::to_string(getpid()));
};

TEST_F(RefineCrash, KilledRunEndsAsIfNeverKilled) {
  ASSERT_EQ(wait_for(start(optimize("whole"))), 0);
  ASSERT_GT(envelope_of("whole")["result"]["refine"]["cells_alone"], 0);  // else nothing was refined
  const uint64_t units = envelope_of("whole")["run"]["units_made"].get<uint64_t>();
  int killed = 0;
  for (int kill = 1; kill <= kKills; ++kill) {
    const pid_t child = start(optimize("killed"));
    // By finished units and not by the clock: so many parts of the whole run, whatever else the machine does.
    killed += kill_at(child, units * static_cast<uint64_t>(kill) / (kKills + 1));
    for (const char* end : {".gguf", ".yaml"})
      if (fs::exists(path(std::string("killed") + end))) {
        EXPECT_EQ(bytes_of(path(std::string("killed") + end)), bytes_of(path(std::string("whole") + end))) << "half-written, kill " << kill;
      }
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(wait_for(start(optimize("killed"))), 0);
  EXPECT_EQ(result_of("killed"), result_of("whole"));
  EXPECT_EQ(bytes_of(path("killed.gguf")), bytes_of(path("whole.gguf")));
  EXPECT_EQ(bytes_of(path("killed.yaml")), bytes_of(path("whole.yaml")));
  const json run = envelope_of("killed")["run"];
  EXPECT_GE(run["units_found"], units / (kKills + 1));
  EXPECT_LT(run["units_made"], units);
  for (const auto& entry : fs::directory_iterator(scratch_))
    EXPECT_EQ(entry.path().string().find(".tmp-assay"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace assay
