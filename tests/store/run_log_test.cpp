// Records of runs: what is kept, what a killed process leaves, what is refused; and deleting old work.
#include "assay/store/run_log.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "assay/base/random.h"
#include "assay/store/journal.h"
#include "assay/store/prune.h"
#include "tests/store/journal_units.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_files::get_file;
using testing_files::put_file;
using testing_store::ScratchDirectory;

namespace fs = std::filesystem;

RunRecord record_of(const std::string& text = "a.txt") {
  RunRecord record;
  record.command = "sweep";
  record.arguments = {"sweep", "model", "--text", text};
  record.directory = "/somewhere";
  record.version = "0.1.0";
  record.code = "c0de";
  record.host = "here";
  record.model = "model";
  record.inputs = {{"model", "11"}, {text, "22"}};
  return record;
}

RunLog begun(const ScratchDirectory& store, const RunRecord& record = record_of()) {
  auto log = RunLog::begin(store.path().string(), record);
  if (!log || !*log) throw std::runtime_error("not begun");
  return **std::move(log);
}

RunRecord only_run(const ScratchDirectory& store) {
  const auto list = list_runs(store.path().string());
  if (!list || list->runs.size() != 1) throw std::runtime_error("not one run");
  return list->runs[0];
}

TEST(RunLog, KeepsWhatWasAskedAndHowFarItCame) {
  const ScratchDirectory store;
  EXPECT_THAT(list_runs(store.path().string())->runs, IsEmpty());
  {
    RunLog log = begun(store);
    EXPECT_EQ(only_run(store).state, RunState::kRunning);
    log.works_in(store / "0123456789abcdef-01234567");
    log.units({3, 4, 10});
    ASSERT_TRUE(log.finish(RunState::kDone, "", "{}\n"));
  }
  const RunRecord run = only_run(store);
  EXPECT_EQ(run.state, RunState::kDone);
  EXPECT_EQ(run.arguments, record_of().arguments);
  EXPECT_EQ(run.directory, "/somewhere");
  EXPECT_EQ(run.inputs[1].sha256, "22");
  EXPECT_EQ(run.units.found + run.units.made, 7u);
  EXPECT_EQ(run.units.planned, 10u);
  EXPECT_THAT(run.journals, ElementsAre("0123456789abcdef-01234567"));
  EXPECT_EQ(*run_report(store.path().string(), run), "{}\n");
  EXPECT_EQ(find_run(store.path().string(), run.id.substr(0, 4))->id, run.id);
  EXPECT_EQ(find_run(store.path().string(), "x").error().code, ErrorCode::kNotFound);
}

TEST(RunLog, TheSameCommandIsTheSameRunAndGoesOn) {
  const ScratchDirectory store;
  const std::string id = begun(store).record().id;
  EXPECT_EQ(begun(store).record().id, id);
  RunRecord forced = record_of();
  forced.arguments.emplace_back("--force");
  EXPECT_EQ(begun(store, forced).record().id, id);
  RunRecord other = record_of();
  other.inputs[1].sha256 = "23";
  EXPECT_NE(begun(store, other).record().id, id);
  EXPECT_NE(begun(store, record_of("b.txt")).record().id, id);
  EXPECT_EQ(list_runs(store.path().string())->runs.size(), 3u);
  EXPECT_EQ(find_run(store.path().string(), "").error().code, ErrorCode::kNotFound);
}

TEST(RunLog, OneProcessDoesARun) {
  const ScratchDirectory store;
  const RunLog first = begun(store);
  const auto second = RunLog::begin(store.path().string(), record_of());
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->has_value());
}

// A killed process leaves no lock: its run counts as interrupted at once.
TEST(RunLog, AKilledRunIsInterrupted) {
  const ScratchDirectory store;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    RunLog log = begun(store);
    log.units({0, 5, 9});
    (void)!::write(ends[1], "x", 1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(only_run(store).state, RunState::kRunning);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(only_run(store).state, RunState::kInterrupted);
  RunLog again = begun(store);
  ASSERT_TRUE(again.finish(RunState::kFailed, "no such luck", ""));
  EXPECT_EQ(only_run(store).message, "no such luck");
}

TEST(RunLog, P5_WhatChangedIsNamed) {
  const RunRecord run = record_of();
  EXPECT_THAT(changes_since(run, run.inputs, run.code), IsEmpty());
  EXPECT_THAT(changes_since(run, {{"model", "11"}, {"a.txt", "33"}}, run.code), ElementsAre("input a.txt has other bytes"));
  EXPECT_THAT(changes_since(run, {{"model", ""}, {"a.txt", "22"}}, "other"),
              ElementsAre("input model is not there any more", "the program is another build"));
}

// Records are untrusted: any byte may be another one, or missing. A record or a name, never a crash, never a path out of the store.
TEST(RunLog, P11_BrokenRecordsAreNamedAndLeftOut) {
  const ScratchDirectory store;
  const std::string id = begun(store).record().id;
  const std::string file = store / ("runs/" + id + ".json"), whole = get_file(file);
  CounterRandom random(5, 11);
  size_t named = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string bent = whole;
    for (uint64_t n = random.next_below(3) + 1; n > 0; --n)
      bent[random.next_below(bent.size())] = static_cast<char>(random.next_below(256));
    if (random.next_below(4) == 0) bent.resize(random.next_below(bent.size()));
    put_file(file, bent);
    const auto list = list_runs(store.path().string());
    ASSERT_TRUE(list) << list.error().message;
    ASSERT_EQ(list->runs.size() + list->warnings.size(), 1u);
    named += list->warnings.size();
    for (const RunRecord& run : list->runs) {
      EXPECT_EQ(run.id, id);
      for (const std::string& journal : run.journals) EXPECT_EQ(journal.find('/'), std::string::npos);
    }
  }
  EXPECT_GT(named, 300u);
  EXPECT_LT(named, 1000u);
  const auto refuse = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    put_file(file, text);
    const auto list = list_runs(store.path().string());
    return list->warnings.empty() ? std::string() : list->warnings[0];
  };
  EXPECT_THAT(refuse("\"journals\": []", "\"journals\": [\"../../etc\"]"), HasSubstr("names files outside the store"));
  EXPECT_THAT(refuse("\"assay_run\": 1", "\"assay_run\": 2"), HasSubstr("written by a newer assay"));
  EXPECT_THAT(refuse(id, "0000000000ff"), HasSubstr("is that of 0000000000ff"));
  EXPECT_THAT(refuse("\"updated\"", "\"" + std::string(2 << 20, 'x') + "\""), HasSubstr(id));
}

TEST(Prune, RulesAreAgesOrSizes) {
  EXPECT_EQ(parse_prune_rule("30d")->keep_seconds, 30 * 86400);
  EXPECT_EQ(parse_prune_rule("0d")->keep_seconds, 0);
  EXPECT_EQ(parse_prune_rule("12h")->keep_seconds, 12 * 3600);
  EXPECT_EQ(parse_prune_rule("2GiB")->keep_bytes, uint64_t{2} << 30);
  for (const char* text : {"", "30", "d", "-1d", "all", "30days"})
    EXPECT_EQ(parse_prune_rule(text).error().code, ErrorCode::kUsage) << text;
}

class PruneStore : public testing::Test {
 protected:
  // A journal with one unit, used `days` ago.
  void journal(const std::string& name, int days) {
    {
      auto made = Journal::open(store_ / name, "local");
      ASSERT_TRUE(made);
      ASSERT_TRUE(testing_store::put(*made, 1));
    }
    for (const auto& entry : fs::directory_iterator(store_ / name))
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(24 * days));
  }
  std::string left() const {
    std::string names;
    const auto directories = store_directories(store_.path().string());
    for (const StoreDirectory& directory : *directories) names += directory.name.substr(0, 1);
    return names;
  }
  ScratchDirectory store_;
  const std::string a_ = "aaaaaaaaaaaaaaaa-00000000", b_ = "bbbbbbbbbbbbbbbb-00000000", c_ = "cccccccccccccccc";
};

TEST_F(PruneStore, ByAgeTheOldGoAndNothingElse) {
  journal(a_, 40);
  journal(b_, 3);
  journal(c_, 50);
  fs::create_directories(store_ / "photographs");
  put_file(store_ / "photographs/cat.jpg", "x");
  put_file(store_ / a_ + "/notes.txt", "mine");
  EXPECT_EQ(left(), "cab");  // the one used longest ago first
  const auto pruned = prune_store(store_.path().string(), *parse_prune_rule("30d"));
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->directories, 2u);
  EXPECT_GT(pruned->bytes, 10000u);
  EXPECT_FALSE(fs::exists(store_ / c_));
  EXPECT_EQ(get_file(store_ / a_ + "/notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(store_ / a_ + "/local.sqlite"));
  EXPECT_TRUE(fs::exists(store_ / b_ + "/local.sqlite"));
  EXPECT_TRUE(fs::exists(store_ / "photographs/cat.jpg"));
}

TEST_F(PruneStore, BySizeWhatWasUsedLastStays) {
  journal(a_, 1);
  journal(b_, 2);
  journal(c_, 3);
  const uint64_t one = store_directories(store_.path().string())->at(0).bytes;
  ASSERT_TRUE(prune_store(store_.path().string(), {one * 5 / 2, INT64_MAX}));
  EXPECT_EQ(left(), "ba");
  ASSERT_TRUE(prune_store(store_.path().string(), {one * 5, INT64_MAX}));
  EXPECT_EQ(left(), "ba");
  ASSERT_TRUE(prune_store(store_.path().string(), {0, INT64_MAX}));
  EXPECT_EQ(left(), "");
}

TEST_F(PruneStore, WhatIsInUseStays) {
  journal(a_, 40);
  journal(b_, 40);
  const auto held = Journal::open(store_ / a_, "local");
  ASSERT_TRUE(held);
  const auto pruned = prune_store(store_.path().string(), {0, 0});
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->directories, 1u);
  EXPECT_EQ(left(), "a");
}

TEST_F(PruneStore, RunsGoWithTheirAgeOrTheirJournals) {
  journal(a_, 40);
  {
    RunLog log = begun(store_);
    log.works_in(store_ / a_);
    ASSERT_TRUE(log.finish(RunState::kDone, "", "{}"));
    EXPECT_EQ(prune_store(store_.path().string(), {0, 0})->runs, 0u);  // it is running
  }
  EXPECT_EQ(only_run(store_).units.made, 0u);
  journal(a_, 40);
  EXPECT_EQ(prune_store(store_.path().string(), {uint64_t{1} << 40, INT64_MAX})->runs, 0u);
  EXPECT_EQ(prune_store(store_.path().string(), {0, INT64_MAX})->runs, 1u);
  EXPECT_THAT(list_runs(store_.path().string())->runs, IsEmpty());
  EXPECT_THAT(fs::is_empty(store_ / "runs"), true);
}

}  // namespace
}  // namespace assay
