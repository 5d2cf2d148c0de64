// Ctrl-C once and twice, kill -9, and what status, resume and export make of it: the program as a user has it.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include "tests/cli/program.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class Interrupt : public testing::Test {
 protected:
  Interrupt() : scratch_(cli_test::scratch("interrupt-" + std::to_string(::getpid()))) {
    tiny::write_hf_model(scratch_ / "model", tiny::llama_config(), tiny::llama_tensors());
    CounterRandom random(1, 1);
    std::string text;
    while (text.size() < size_t{128} * kWindows) text += static_cast<char>('a' + random.next_below(24));
    testing_files::put_file(scratch_ / "text.txt", text);
  }
  ~Interrupt() override { fs::remove_all(scratch_); }

  std::string read(const std::string& name) const {
    std::ifstream file(scratch_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  static constexpr int kWindows = 400;
  static constexpr int kUnits = kWindows + 1;  // and the noise floor

  // The sweep that is stopped: some seconds of small units.
  std::vector<std::string> sweep(const std::string& store) const {
    return {"sweep", "model", "--text", "text.txt", "--types", "Q8_0,Q4_0", "--ctx", "128", "--threads", "1", "--store", store, "--quiet"};
  }

  // In the scratch directory, standard output and error to `log`.
  pid_t start(std::vector<std::string> arguments, const std::string& log) const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (::chdir(scratch_.c_str()) != 0 || std::freopen(log.c_str(), "w", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(126);
    arguments.insert(arguments.begin(), ASSAY_PROGRAM);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(ASSAY_PROGRAM, pointers.data());
    ::_exit(127);
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int run(const std::vector<std::string>& arguments, const std::string& log) const { return wait_for(start(arguments, log)); }

  json status(const std::string& store) const {
    EXPECT_EQ(run({"status", store, "--json", "status.json", "--force"}, "status.txt"), 0) << read("status.txt");
    return json::parse(read("status.json"))["result"];
  }
  json only_run(const std::string& store) const {
    const json listed = status(store);
    EXPECT_EQ(listed["runs"].size(), 1u) << listed;
    return listed["runs"].at(0);
  }
  // Once the child has finished some units.
  void wait_for_units(const std::string& store, int least) const {
    for (int i = 0; i < 1200; ++i) {
      if (fs::exists(scratch_ / store / "runs")) {
        const json listed = status(store);
        if (!listed["runs"].empty() && listed["runs"][0]["units_done"].get<int>() >= least) return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    FAIL() << "no units after a minute";
  }
  // What an undisturbed run of the same command exports, by format: the same for all tests, and made once.
  const std::map<std::string, std::string>& whole_reports() const {
    static std::map<std::string, std::string> reports;
    if (!reports.empty()) return reports;
    EXPECT_EQ(run(sweep("whole"), "whole.txt"), 0) << read("whole.txt");
    for (const std::string format : {"json", "csv"}) {
      EXPECT_EQ(run({"export", "--store", "whole", "--format", format, "-o", "whole." + format, "--force"}, "log"), 0) << read("log");
      reports[format] = read("whole." + format);
    }
    return reports;
  }
  void expect_whole_report(const std::string& store) const {
    for (const auto& [format, expected] : whole_reports()) {
      ASSERT_EQ(run({"export", "--store", store, "--format", format, "-o", "other." + format, "--force"}, "log"), 0) << read("log");
      EXPECT_GT(expected.size(), 500u);
      EXPECT_EQ(read("other." + format), expected);
    }
  }

  fs::path scratch_;
};

TEST_F(Interrupt, OnceFinishesTheUnitAndSaysHowToGoOn) {
  const pid_t child = start(sweep("store"), "log");
  wait_for_units("store", 2);
  ::kill(child, SIGINT);
  EXPECT_EQ(wait_for(child), 75);
  const json stopped = only_run("store");
  EXPECT_EQ(stopped["state"], "interrupted");
  EXPECT_EQ(stopped["units_planned"], kUnits);
  const int done = stopped["units_done"].get<int>();
  EXPECT_LT(done, kUnits);
  const std::string id = stopped["run"];
  EXPECT_THAT(read("log"), HasSubstr("assay: go on with: " ASSAY_PROGRAM " resume " + id + " --store store"));

  // An unfinished run's report says so.
  EXPECT_EQ(run({"export", id.substr(0, 6), "--store", "store", "-o", "partial.json"}, "log"), 0) << read("log");
  const json partial = json::parse(read("partial.json"));
  EXPECT_EQ(partial["unfinished"]["units_done"], done);
  EXPECT_EQ(partial["unfinished"]["units_missing"], kUnits - done);
  EXPECT_EQ(partial["result"]["windows"], done - 1);
  EXPECT_THAT(read("log"), HasSubstr("a report of " + std::to_string(done) + " of " + std::to_string(kUnits) + " units"));

  ASSERT_EQ(run({"resume", "--store", "store"}, "log"), 0) << read("log");
  const json finished = only_run("store");
  EXPECT_EQ(finished["state"], "done");
  EXPECT_EQ(finished["units_done"], kUnits);
  expect_whole_report("store");
  // Nothing is left to do, and that is no error.
  EXPECT_EQ(run({"resume", id, "--store", "store"}, "log"), 0);
  EXPECT_THAT(read("log"), HasSubstr("is done"));
  EXPECT_EQ(run({"resume", "--store", "store"}, "log"), 65);
  EXPECT_THAT(read("log"), HasSubstr("has no unfinished run"));
}

TEST_F(Interrupt, TwiceStopsAtOnce) {
  const pid_t child = start(sweep("store"), "log");
  wait_for_units("store", 2);
  ::kill(child, SIGINT);
  ::kill(child, SIGINT);
  // A second one that comes before the first is handled is merged with it.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ::kill(child, SIGINT);
  const auto clock = std::chrono::steady_clock::now();
  EXPECT_EQ(wait_for(child), 75);
  EXPECT_LT(std::chrono::steady_clock::now() - clock, std::chrono::seconds(5));
  EXPECT_THAT(read("log"), HasSubstr("resume " + only_run("store")["run"].get<std::string>()));
  EXPECT_EQ(only_run("store")["state"], "interrupted");
  ASSERT_EQ(run({"resume", "--store", "store"}, "log"), 0) << read("log");
  expect_whole_report("store");
}

TEST_F(Interrupt, P2_KilledAndResumedAgainAndAgain) {
  int kills = 0;
  const pid_t first = start(sweep("store"), "log");
  wait_for_units("store", 1);
  ::kill(first, SIGKILL);
  EXPECT_EQ(wait_for(first), -SIGKILL);
  for (; kills < 4; ++kills) {
    const pid_t child = start({"resume", "--store", "store"}, "log");
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + 400 * kills));
    ::kill(child, SIGKILL);
    if (wait_for(child) == 0) break;
    EXPECT_EQ(only_run("store")["state"], "interrupted");
  }
  EXPECT_GT(kills, 0);
  if (only_run("store")["state"] != "done") {
    ASSERT_EQ(run({"resume", "--store", "store"}, "log"), 0) << read("log");
  }
  expect_whole_report("store");
}

TEST_F(Interrupt, P5_AChangedInputIsNamedAndForkStartsBeside) {
  const pid_t child = start(sweep("store"), "log");
  wait_for_units("store", 1);
  ::kill(child, SIGINT);
  EXPECT_EQ(wait_for(child), 75);
  std::ofstream(scratch_ / "text.txt", std::ios::app) << "abc";
  EXPECT_EQ(run({"resume", "--store", "store"}, "log"), 65);
  EXPECT_THAT(read("log"), HasSubstr("is another one now: input text.txt has other bytes; --fork"));
  ASSERT_EQ(run({"resume", "--fork", "--store", "store"}, "log"), 0) << read("log");
  const json listed = status("store");
  ASSERT_EQ(listed["runs"].size(), 2u);
  EXPECT_EQ(listed["runs"][0]["state"], "interrupted");
  EXPECT_EQ(listed["runs"][1]["state"], "done");
}

// Work that has no report before its end is not done by asking for one.
TEST_F(Interrupt, ExportOfAnUnfinishedScoreDoesNoWork) {
  const pid_t child =
      start({"score", "model", "--text", "text.txt", "--types", "Q8_0", "--ctx", "128", "--threads", "1", "--store", "store"}, "log");
  wait_for_units("store", 0);
  ::kill(child, SIGKILL);
  ASSERT_EQ(wait_for(child), -SIGKILL);
  const json before = only_run("store");
  EXPECT_EQ(run({"export", "--store", "store"}, "log"), 65);
  EXPECT_THAT(read("log"), HasSubstr("a report of `score` needs more: assay resume " + before["run"].get<std::string>()));
  EXPECT_EQ(only_run("store"), before);
}

TEST_F(Interrupt, StatusListsAndPrunes) {
  const auto eval = [&](const std::string& chunks) {
    return run({"eval", "model", "--text", "text.txt", "--ctx", "64", "--chunks", chunks, "--store", "store"}, "log");
  };
  EXPECT_EQ(run({"status", "store", "--store", "none"}, "log"), 64);  // there is no such store, and no run of that name
  ASSERT_EQ(eval("40"), 0) << read("log");
  ASSERT_EQ(eval("40"), 0);  // the same run
  ASSERT_EQ(eval("70"), 0);
  ASSERT_EQ(eval("0x"), 64);  // never began
  ASSERT_EQ(run({"eval", "model", "--text", "text.txt", "--ctx", "4096", "--store", "store"}, "log"), 64);
  const json listed = status("store");
  EXPECT_EQ(listed["runs"].size(), 2u);
  EXPECT_GT(listed["bytes"].get<int>(), 0);
  EXPECT_THAT(read("status.txt"), HasSubstr("eval     model"));
  // Two runs of one second have no order.
  const auto first = std::find_if(listed["runs"].begin(), listed["runs"].end(),
                                  [](const json& one) { return one["arguments"].dump().find("\"40\"") != std::string::npos; });
  ASSERT_NE(first, listed["runs"].end());
  ASSERT_EQ(run({"status", "--store", "store", (*first)["run"].get<std::string>()}, "log"), 0);
  EXPECT_THAT(read("log"), HasSubstr("command  assay eval model --text text.txt --ctx 64 --chunks 40"));
  ASSERT_EQ(run({"export", "--store", "store", "--format", "csv"}, "log"), 0);
  EXPECT_THAT(read("log"), HasSubstr("field,value\r\nppl,"));
  ASSERT_EQ(run({"status", "store", "--prune", "30d"}, "log"), 0);
  EXPECT_EQ(status("store")["runs"].size(), 2u);
  ASSERT_EQ(run({"status", "store", "--prune", "0d"}, "log"), 0);
  EXPECT_EQ(status("store")["runs"].size(), 0u);
  EXPECT_EQ(status("store")["bytes"], 0);
  EXPECT_EQ(run({"export", "--store", "store"}, "log"), 65);
}

}  // namespace
}  // namespace assay
