// A real sweep of a tiny model in a child process that can be killed, starved of disk or stopped, for the tests of what a store promises.
// The parent never runs the engine itself: a process that has started threads does not fork well.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "assay/base/random.h"
#include "assay/engine.h"
#include "assay/file/atomic_writer.h"
#include "assay/store/run_log.h"
#include "tests/model/tiny_models.h"
#include "tests/store/failing_disk.h"

namespace assay::killed_runs {

using testing_files::get_file;
using testing_files::put_file;
using testing_files::ScratchDirectory;
using testing_store::FailingDisk;
using testing_store::Fault;

// What a child tells its parent; survives the child.
struct Told {
  std::atomic<uint64_t> found, made;  // units, those made on the disk
};

struct Sweep {
  std::string store, output;  // `output` as a name in the scratch directory
  std::string text = "text.txt";
  uint32_t windows = 12;
  uint32_t ctx = 32;
  std::vector<GgmlType> types = {GgmlType::kQ8_0, GgmlType::kQ4_0};
  RunSettings settings = {};
  std::optional<Fault> fault = {};
  int fault_at = 0;                // the how-manieth change of a file by SQLite
  uint64_t interrupt_in_unit = 0;  // asked to stop while this unit is at work; 0: never
};

class KilledRuns : public testing::Test {
 protected:
  KilledRuns() {
    void* memory = ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    told_ = new (memory) Told();
    tiny::write_hf_model(scratch_.path() / "model", tiny::llama_config(), tiny::llama_tensors());
    put_file(scratch_ / "text.txt", letters(1));
    put_file(scratch_ / "other.txt", letters(2));
  }
  ~KilledRuns() override { ::munmap(told_, sizeof(Told)); }

  static std::string letters(uint64_t seed) {
    CounterRandom random(seed, 0);
    std::string text;
    for (int i = 0; i < 1000; ++i) text += static_cast<char>('a' + random.next_below(24));
    return text;
  }

  std::string path(const std::string& name) const { return scratch_ / name; }

  pid_t start(const Sweep& sweep) {
    told_->found = told_->made = 0;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body(sweep));
    return child;
  }
  // The exit code, or the negative signal.
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int run(const Sweep& sweep) { return wait_for(start(sweep)); }

  // The report of a run that nothing disturbs, and how many units it has.
  const std::string& whole(const Sweep& like) {
    if (whole_.empty()) {
      Sweep sweep = like;
      sweep.store = "store-of-whole";
      sweep.output = "whole.json";
      sweep.settings.commit_seconds = 0;
      EXPECT_EQ(run(sweep), 0);
      EXPECT_EQ(told_->found, 0u);
      units_ = told_->made;
      whole_ = get_file(path("whole.json"));
      EXPECT_GT(whole_.size(), 1000u);
    }
    return whole_;
  }
  uint64_t units() const { return units_; }

  // Kills runs at `kills` random instants, each going on where the one before was killed. Every report that comes out of it is that of an
  // undisturbed run, nothing half-written is ever under its name, and no unit is made twice.
  void kill_at_random_instants(int kills) {
    Sweep sweep;
    whole(sweep);
    sweep.output = "killed.json";
    sweep.settings.commit_seconds = 0;
    const auto clock = std::chrono::steady_clock::now();
    sweep.store = "store-of-clock";
    ASSERT_EQ(run(sweep), 0);
    const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - clock;
    std::filesystem::remove(path("killed.json"));
    CounterRandom random(20, 26);
    int done = 0, reports = 0, kills_here = 0;
    uint64_t made = 0;
    while (done < kills || kills_here > 0) {
      sweep.store = "store-" + std::to_string(reports);
      const pid_t child = start(sweep);
      std::this_thread::sleep_for(duration * (random.next_uniform() * (done < kills ? 1.2 : 30)));
      ::kill(child, SIGKILL);
      const int status = wait_for(child);
      made += told_->made;
      ASSERT_LE(made, units()) << "a unit was made twice";
      const std::string so_far = get_file(path("killed.json"));
      ASSERT_TRUE(so_far.empty() || so_far == whole_);
      if (status == -SIGKILL) {
        ++done, ++kills_here;
        continue;
      }
      ASSERT_EQ(status, 0);
      EXPECT_EQ(told_->found + told_->made, units());
      EXPECT_GE(made + static_cast<uint64_t>(kills_here), units());  // a kill may fall between a unit's commit and its telling
      ++reports, kills_here = 0, made = 0;
      std::filesystem::remove(path("killed.json"));
      std::filesystem::remove_all(path(sweep.store));
    }
    EXPECT_GT(reports, 3);
    for (const std::string& name : scratch_.names()) EXPECT_EQ(name.find(".tmp-assay"), std::string::npos) << name;
  }

  ScratchDirectory scratch_;
  Told* told_ = nullptr;

 private:
  class Listener final : public RunListener {
   public:
    Listener(Told& told, RunLog* log) : told_(told), log_(log) {}
    void works_in(const std::string& directory) override {
      if (log_ != nullptr) log_->works_in(directory);
    }
    void units(const UnitCounts& counts) override {
      told_.found = counts.found;
      told_.made = counts.made;
      if (log_ != nullptr) log_->units(counts);
    }

   private:
    Told& told_;
    RunLog* log_;
  };

  // Warnings go to "log" in the scratch directory.
  class ChildProgress final : public Progress {
   public:
    ChildProgress(const Told& told, uint64_t interrupt_in_unit, std::string log)
        : told_(told), interrupt_in_unit_(interrupt_in_unit), log_(std::move(log)) {}
    // A unit has an even number of variants and reports after each: odd counts are inside a unit.
    void update(uint64_t done, std::string_view) override {
      if (interrupt_in_unit_ > 0 && told_.made + 1 >= interrupt_in_unit_ && done % 2 == 1) interrupted_ = true;
    }
    void log(std::string_view line) override { std::ofstream(log_, std::ios::app) << line << "\n"; }
    bool interrupted() const override { return interrupted_; }

   private:
    const Told& told_;
    uint64_t interrupt_in_unit_;
    std::string log_;
    std::atomic<bool> interrupted_ = false;
  };

  int body(const Sweep& sweep) {
    std::optional<FailingDisk> disk;
    if (sweep.fault) {
      disk.emplace();
      disk->arm(*sweep.fault, sweep.fault_at);
    }
    ChildProgress progress(*told_, sweep.interrupt_in_unit, path("log"));
    MakeTableOptions options;
    options.model = path("model");
    options.text.path = path(sweep.text);
    options.text.windows.ctx = sweep.ctx;
    options.text.windows.chunks = sweep.windows;
    options.types = sweep.types;
    RunSettings settings = sweep.settings;
    if (settings.threads == 0) settings.threads = 1;
    settings.store = path(sweep.store);
    RunRecord record;
    record.command = "sweep";
    record.arguments = {sweep.output};
    auto log = RunLog::begin(settings.store, record);
    Listener listener(*told_, log && *log ? &**log : nullptr);
    settings.run = &listener;
    const auto made = assay_engine()->measure_table(options, settings, progress);
    if (!made) {
      progress.log(made.error().message);
      return exit_code_of(made.error().code);
    }
    OutputOptions output;
    output.force = true;
    return write_text_file(path(sweep.output), to_json(made->table), output) ? 0 : 1;
  }

  std::string whole_;
  uint64_t units_ = 0;
};

}  // namespace assay::killed_runs
