// What a store promises of runs that are killed, starved or stopped (bad_input.md 5.1, by number): a real sweep of a tiny model in child
// processes. Single databases and records: tests/store; the program itself: tests/cli/interrupt_crash_test.cpp.
#include "tests/job/killed_runs.h"

namespace assay {
namespace {

using killed_runs::FailingDisk;
using killed_runs::Fault;
using killed_runs::get_file;
using killed_runs::KilledRuns;
using killed_runs::put_file;
using killed_runs::Sweep;

namespace fs = std::filesystem;

class Promises : public KilledRuns {
 protected:
  // A run whose every unit is committed by itself.
  static Sweep sweep_into(const std::string& store, const std::string& output = "out.json") {
    Sweep sweep;
    sweep.store = store;
    sweep.output = output;
    sweep.settings.commit_seconds = 0;
    return sweep;
  }
  std::string report() const { return get_file(path("out.json")); }
  // The only database of a store with one worker.
  std::string database(const std::string& store) const {
    std::string found;
    for (const auto& entry : fs::recursive_directory_iterator(path(store)))
      if (entry.path().filename() == "local.sqlite") found = entry.path().string();
    EXPECT_FALSE(found.empty());
    return found;
  }
};

TEST_F(Promises, P1_AKillLosesTheUnitAtWorkAndNothingElse) {
  const std::string& expected = whole(sweep_into(""));
  for (const uint64_t after : {1, 4, 9}) {
    const Sweep sweep = sweep_into("store-" + std::to_string(after));
    const pid_t child = start(sweep);
    while (told_->made < after) std::this_thread::yield();
    ::kill(child, SIGKILL);
    ASSERT_EQ(wait_for(child), -SIGKILL);
    const uint64_t acknowledged = told_->made;
    ASSERT_EQ(run(sweep), 0);
    EXPECT_GE(told_->found, acknowledged);
    EXPECT_LE(told_->found, acknowledged + 1);
    EXPECT_EQ(report(), expected);
  }
}

TEST_F(Promises, P2_DeathAtEveryWriteThenResumeGivesTheSameBytes) {
  Sweep sweep = sweep_into("");
  sweep.windows = 3;
  const std::string& expected = whole(sweep);
  int n = 0;
  for (bool died = true; died; ++n) {
    ASSERT_LT(n, 400);
    sweep.store = "store-" + std::to_string(n);
    sweep.fault = Fault::kDie;
    sweep.fault_at = n;
    const int status = run(sweep);
    died = status == FailingDisk::kDied;
    ASSERT_TRUE(died || status == 0) << status;
    const uint64_t acknowledged = told_->made;
    sweep.fault.reset();
    fs::remove(path("out.json"));
    ASSERT_EQ(run(sweep), 0);
    EXPECT_GE(told_->found, acknowledged) << n;
    EXPECT_EQ(told_->found + told_->made, units()) << n;
    EXPECT_EQ(report(), expected) << n;
  }
  EXPECT_GT(n, 30);
  EXPECT_FALSE(fs::exists(path("log"))) << get_file(path("log"));  // nothing to complain about: torn transactions are normal
}

// 1,000 in promises_slow_torch_test.cpp: here enough for many reports, each of some killed runs.
TEST_F(Promises, P2_P3_P12_KilledAt150RandomInstants) { kill_at_random_instants(150); }

TEST_F(Promises, P5_WhateverChangesAResultIsInTheKey) {
  const Sweep first = sweep_into("store");
  whole(first);
  ASSERT_EQ(run(first), 0);
  const uint64_t all = told_->made;
  Sweep text = first, ctx = first, seed = first, compute = first, types = first;
  text.text = "other.txt";
  ctx.ctx = 16;
  seed.settings.seed = 1;
  compute.settings.compute = Compute::kBFloat16;
  types.types = {GgmlType::kQ8_0};
  for (const Sweep& other : {text, ctx, seed, compute}) {
    ASSERT_EQ(run(other), 0);
    EXPECT_EQ(told_->found, 0u);
  }
  ASSERT_EQ(run(types), 0);
  EXPECT_EQ(told_->found, 1u);  // the noise floor is that of the same model and text
  // Another model under the same name.
  tiny::HfTensors tensors = tiny::llama_tensors();
  tensors.erase("lm_head.weight");
  nlohmann::json config = tiny::llama_config();
  config["tie_word_embeddings"] = true;
  tiny::write_hf_model(path("model"), config, tensors);
  ASSERT_EQ(run(first), 0);
  EXPECT_EQ(told_->found, 0u);
  // And the first again, whose units are all still there.
  tiny::write_hf_model(path("model"), tiny::llama_config(), tiny::llama_tensors());
  ASSERT_EQ(run(first), 0);
  EXPECT_EQ(told_->found, all);
}

TEST_F(Promises, P6_OneFourOrSevenWorkersGiveTheSameBytes) {
  const std::string& expected = whole(sweep_into(""));
  for (const size_t workers : {1, 4, 7}) {
    const std::string store = "store-of-" + std::to_string(workers);
    std::vector<pid_t> children;
    for (size_t w = 0; w < workers; ++w) children.push_back(start(sweep_into(store, "out-" + std::to_string(w) + ".json")));
    // All but one are killed, as on a cluster: what they finished counts.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (size_t w = 1; w < workers; w += 2) ::kill(children[w], SIGKILL);
    for (size_t w = 0; w < workers; ++w) {
      const int status = wait_for(children[w]);
      EXPECT_TRUE(status == 0 || (w % 2 == 1 && status == -SIGKILL)) << status;
      if (status == 0) {
        EXPECT_EQ(get_file(path("out-" + std::to_string(w) + ".json")), expected);
      }
    }
    ASSERT_EQ(run(sweep_into(store)), 0);
    EXPECT_EQ(told_->made, 0u);
    EXPECT_EQ(report(), expected);
  }
}

TEST_F(Promises, P6_ThreadsAndMemoryChangeNothingAndFindTheSameUnits) {
  const std::string& expected = whole(sweep_into(""));
  ASSERT_EQ(run(sweep_into("shared")), 0);
  for (const auto& [threads, memory] : {std::pair{1, uint64_t{1} << 26}, {2, uint64_t{1} << 26}, {2, uint64_t{1} << 33}, {3, 0}}) {
    Sweep sweep = sweep_into("store-" + std::to_string(threads) + "-" + std::to_string(memory));
    sweep.settings.threads = threads;
    sweep.settings.memory = memory;
    ASSERT_EQ(run(sweep), 0);
    EXPECT_EQ(told_->made, units());
    EXPECT_EQ(report(), expected) << threads << " threads, " << memory << " bytes";
    sweep.store = "shared";
    ASSERT_EQ(run(sweep), 0);
    EXPECT_EQ(told_->made, 0u);
  }
}

TEST_F(Promises, P7_ADamagedRowIsNamedSetAsideAndDoneAgain) {
  const Sweep sweep = sweep_into("store");
  const std::string& expected = whole(sweep);
  ASSERT_EQ(run(sweep), 0);
  const std::string file = database("store");
  std::string bytes = get_file(file);
  const size_t row = bytes.rfind("sweep");  // a row's kind; its payload comes after its key's fields
  const size_t payload = bytes.find("unit=", row) + 5 + 64 + 40;
  ASSERT_LT(payload, bytes.size());
  bytes[payload] = static_cast<char>(bytes[payload] ^ 0x10);
  put_file(file, bytes);
  ASSERT_EQ(run(sweep), 0);
  EXPECT_EQ(told_->made, 1u);
  EXPECT_EQ(report(), expected);
  EXPECT_NE(get_file(path("log")).find("is damaged and will be done again"), std::string::npos);
  EXPECT_NE(get_file(file).find("aside "), std::string::npos);
  ASSERT_EQ(run(sweep), 0);
  EXPECT_EQ(told_->made, 0u);
}

TEST_F(Promises, P7_ATornTailCostsItsUnitsOnly) {
  const Sweep sweep = sweep_into("store");
  const std::string& expected = whole(sweep);
  ASSERT_EQ(run(sweep), 0);
  const std::string file = database("store");
  const std::string bytes = get_file(file);
  put_file(file, bytes.substr(0, bytes.size() - 9000));
  ASSERT_EQ(run(sweep), 0);
  EXPECT_GT(told_->found, 0u);
  EXPECT_GT(told_->made, 0u);
  EXPECT_EQ(report(), expected);
  EXPECT_NE(get_file(path("log")).find("finished units were saved, the damaged file is kept as"), std::string::npos);
  EXPECT_TRUE(fs::exists(file + ".damaged-1"));
}

TEST_F(Promises, P9_AFullOrFailingDiskStopsCleanlyAndKeepsFinishedUnits) {
  Sweep sweep = sweep_into("");
  const std::string& expected = whole(sweep);
  for (const Fault fault : {Fault::kFull, Fault::kFailForever})
    for (const int n : {12, 40, 75}) {
      sweep.store = "store-" + std::to_string(n) + (fault == Fault::kFull ? "-full" : "-broken");
      sweep.fault = fault;
      sweep.fault_at = n;
      fs::remove(path("out.json"));
      EXPECT_EQ(run(sweep), 74) << n;
      EXPECT_FALSE(fs::exists(path("out.json")));
      const uint64_t acknowledged = told_->made;
      sweep.fault.reset();
      ASSERT_EQ(run(sweep), 0);
      EXPECT_GE(told_->found, acknowledged);
      EXPECT_EQ(report(), expected);
    }
}

// Databases that are not ours to write are left as they are; the work is done without them.
TEST_F(Promises, P9_P11_ForeignNewerAndOlderDatabasesAreLeftAlone) {
  const Sweep sweep = sweep_into("store");
  const std::string& expected = whole(sweep);
  ASSERT_EQ(run(sweep), 0);
  const std::string file = database("store"), good = get_file(file);
  std::string newer = good, older = good;
  newer[63] = 9;  // user_version, big-endian at 60
  older[63] = 0;
  for (const std::string& bytes : {newer, older, std::string(5000, 'x')}) {
    fs::remove(path("log"));
    put_file(file, bytes);
    ASSERT_EQ(run(sweep), 0);
    EXPECT_EQ(told_->found, 0u);
    EXPECT_EQ(report(), expected);
    EXPECT_EQ(get_file(file), bytes);
    EXPECT_NE(get_file(path("log")).find("finished work is not kept"), std::string::npos) << get_file(path("log"));
  }
}

TEST_F(Promises, P10_AReportOfWhatIsFinished) {
  Sweep sweep = sweep_into("store");
  const std::string& expected = whole(sweep);
  Sweep partial = sweep;
  partial.settings.only_finished = true;
  EXPECT_EQ(run(partial), 65);  // nothing is finished
  sweep.interrupt_in_unit = 6;
  ASSERT_EQ(run(sweep), 75);
  ASSERT_EQ(told_->made, 6u);
  ASSERT_EQ(run(partial), 0);
  EXPECT_EQ(told_->found, 6u);
  EXPECT_EQ(told_->made, 0u);
  // The noise floor and five windows: what a run on those five alone reports.
  Sweep five = sweep_into("store-of-five", "five.json");
  five.windows = 5;
  ASSERT_EQ(run(five), 0);
  const auto table = [&](const std::string& name) {
    auto json = nlohmann::json::parse(get_file(path(name)));
    json.erase("noise_floor");
    for (auto& row : json["rows"])
      for (auto& cell : row["cells"]) cell.erase("below_floor");
    return json;
  };
  EXPECT_EQ(table("out.json"), table("five.json"));
  // And of everything, the report.
  sweep.interrupt_in_unit = 0;
  ASSERT_EQ(run(sweep), 0);
  fs::remove(path("out.json"));
  ASSERT_EQ(run(partial), 0);
  EXPECT_EQ(report(), expected);
}

// Asked to stop in the middle of a unit: it is finished and kept, and the next one not begun.
TEST_F(Promises, StoppingFinishesTheUnit) {
  const std::string& expected = whole(sweep_into(""));
  for (const uint64_t in_unit : {2, 5}) {
    Sweep sweep = sweep_into("store-" + std::to_string(in_unit));
    sweep.interrupt_in_unit = in_unit;
    EXPECT_EQ(run(sweep), 75);
    EXPECT_EQ(told_->made, in_unit);
    sweep.interrupt_in_unit = 0;
    ASSERT_EQ(run(sweep), 0);
    EXPECT_EQ(told_->found, in_unit);
    EXPECT_EQ(report(), expected);
  }
}

}  // namespace
}  // namespace assay
