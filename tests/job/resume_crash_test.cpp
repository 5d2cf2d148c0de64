// A killed run resumes: kill -9 at any moment, the same command again, and the result is that of a run never killed; nothing half-written
// stays under the final name, and finished work is not done twice.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ResumeTest : public testing::Test {
 protected:
  void SetUp() override {
    scratch_ = fs::path(testing::TempDir()) / ("assay-resume-" + std::to_string(getpid()));
    fs::remove_all(scratch_);
    fs::create_directories(scratch_);
  }
  void TearDown() override { fs::remove_all(scratch_); }

  std::string path(const std::string& name) const { return (scratch_ / name).string(); }

  // Starts `assay` and returns its process id.
  static pid_t start(std::vector<std::string> arguments) {
    const pid_t child = fork();
    if (child != 0) return child;
    arguments.insert(arguments.begin(), ASSAY_PROGRAM);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    execv(ASSAY_PROGRAM, pointers.data());
    _exit(127);
  }
  static int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::vector<std::string> optimize(const std::string& store, const std::string& output) const {
    const std::string demo = ASSAY_SOURCE_DIR "/demo/";
    return {"optimize", demo + "reference-9m", "--like", "Q4_K_M", "--calibration", demo + "calibration.txt", "--evaluation", demo + "evaluation.txt",
            "--chunks", "8", "--types", "Q3_K,Q4_K,Q5_K,Q6_K", "-o", path(output), "--json", path(output + ".json"), "--store", path(store), "--quiet", "--force"};
  }
  // The envelope without what may differ; the output's name is an option.
  json result_of(const std::string& output) const {
    std::ifstream file(path(output + ".json"));
    json envelope = json::parse(file);
    envelope.erase("run");
    envelope["options"].erase("output");
    return envelope;
  }
  json run_of(const std::string& output) const {
    std::ifstream file(path(output + ".json"));
    return json::parse(file)["run"];
  }
  static std::string bytes_of(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  }

  fs::path scratch_;
};

TEST_F(ResumeTest, KilledOptimizeEndsAsIfNeverKilled) {
  const auto clock = std::chrono::steady_clock::now();
  ASSERT_EQ(wait_for(start(optimize("store-a", "whole.gguf"))), 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - clock;
  const int kills = 6;
  for (int i = 1; i <= kills; ++i) {
    const pid_t child = start(optimize("store-b", "killed.gguf"));
    std::this_thread::sleep_for(whole * i / (kills + 1.0));
    kill(child, SIGKILL);
    wait_for(child);
    if (fs::exists(path("killed.gguf"))) {
      EXPECT_EQ(bytes_of(path("killed.gguf")), bytes_of(path("whole.gguf"))) << "a half-written file after kill " << i;
    }
  }
  ASSERT_EQ(wait_for(start(optimize("store-b", "killed.gguf"))), 0);
  EXPECT_EQ(result_of("killed.gguf"), result_of("whole.gguf"));
  EXPECT_EQ(bytes_of(path("killed.gguf")), bytes_of(path("whole.gguf")));
  size_t left = 0;
  for (const auto& entry : fs::directory_iterator(scratch_)) left += entry.path().string().find(".tmp-assay") != std::string::npos;
  EXPECT_EQ(left, 0u);
}

TEST_F(ResumeTest, SecondRunFindsEverythingAndGivesTheSameBytes) {
  ASSERT_EQ(wait_for(start(optimize("store", "first.gguf"))), 0);
  ASSERT_EQ(wait_for(start(optimize("store", "second.gguf"))), 0);
  EXPECT_EQ(result_of("second.gguf"), result_of("first.gguf"));
  EXPECT_EQ(bytes_of(path("second.gguf")), bytes_of(path("first.gguf")));
  EXPECT_GT(run_of("second.gguf")["units_found"].get<int>(), 0);
  EXPECT_EQ(run_of("second.gguf")["units_made"].get<int>(), 0);
  EXPECT_GT(run_of("first.gguf")["units_made"].get<int>(), 0);
}

TEST_F(ResumeTest, AnotherSeedOrTextFindsNothingOfTheOld) {
  ASSERT_EQ(wait_for(start(optimize("store", "first.gguf"))), 0);
  auto other = optimize("store", "second.gguf");
  other.insert(other.end(), {"--seed", "5"});
  ASSERT_EQ(wait_for(start(other)), 0);
  EXPECT_EQ(run_of("second.gguf")["units_found"].get<int>(), 0);
}

TEST_F(ResumeTest, StoreThatCannotBeWrittenIsDoneWithout) {
  std::ofstream(path("file")) << "not a directory";
  ASSERT_EQ(wait_for(start(optimize("file", "out.gguf"))), 0);
  EXPECT_EQ(run_of("out.gguf")["units_found"].get<int>(), 0);
  EXPECT_TRUE(fs::exists(path("out.gguf")));
}

}  // namespace
}  // namespace assay
