// Databases that were cut, bent or forged: a typed error, or the intact units and the names of the others. Never a crash, never a wrong
// payload.
#include <gmock/gmock.h>

#include "tests/store/journal_units.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing_files::get_file;
using testing_files::put_file;
using testing_store::fill;
using testing_store::held;
using testing_store::put;
using testing_store::ScratchDirectory;

constexpr int kUnits = 6;

class DamagedJournal : public ::testing::Test {
 protected:
  void SetUp() override {
    const ScratchDirectory scratch;
    fill(scratch, kUnits);
    whole_ = get_file(scratch / "w.sqlite");
    ASSERT_GT(whole_.size(), 6u * 9000);
  }

  // Opens `bytes` as the worker's own database and as another worker's, and expects a typed error or true units in both; after an open
  // that succeeded every unit can be put again. Returns the units the owner still has, or "refused".
  std::string survivors(const std::string& bytes) {
    const ScratchDirectory scratch;
    put_file(scratch / "w.sqlite", bytes);
    {
      auto reader = Journal::open(scratch.path().string(), "reader");
      EXPECT_TRUE(reader);
      if (reader) held(*reader, kUnits);
    }
    auto owner = Journal::open(scratch.path().string(), "w");
    if (!owner) {
      EXPECT_TRUE(owner.error().code == ErrorCode::kMismatch || owner.error().code == ErrorCode::kUnsupported ||
                  owner.error().code == ErrorCode::kBadInput)
          << owner.error().message;
      EXPECT_FALSE(owner.error().message.empty());
      return "refused";
    }
    const std::string now = held(*owner, kUnits);
    for (int i = 0; i < kUnits; ++i) EXPECT_TRUE(put(*owner, i));
    EXPECT_EQ(held(*owner, kUnits), "012345");
    const bool aside = std::filesystem::exists(scratch / "w.sqlite.damaged-1");
    EXPECT_TRUE(!aside || !owner->warnings().empty());
    return now;
  }

  std::string whole_;
};

TEST_F(DamagedJournal, ControlIsWhole) { EXPECT_EQ(survivors(whole_), "012345"); }

// R1, R2: cut anywhere.
TEST_F(DamagedJournal, R1_R2_CutAnywhere) {
  EXPECT_EQ(survivors(""), "");  // killed between making the file and the first commit: a new journal
  size_t refused = 0, partly = 0;
  for (size_t size = 1; size < whole_.size(); size += size < 130 ? 1 : 1021) {
    const std::string now = survivors(whole_.substr(0, size));
    refused += now == "refused";
    partly += now != "refused" && !now.empty();
    EXPECT_NE(now, "012345") << size;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(partly, 10u);
}

// R3: one flipped bit, all over the file; at most the units on the struck page are lost.
TEST_F(DamagedJournal, R3_FlippedBits) {
  size_t lost_one = 0, untouched = 0, refused = 0, other = 0;
  for (size_t at = 0; at < whole_.size(); at += at < 100 ? 3 : 613) {
    std::string bent = whole_;
    bent[at] = static_cast<char>(bent[at] ^ (1 << (at % 8)));
    const std::string now = survivors(bent);
    if (now == "refused")
      ++refused;
    else if (now == "012345")
      ++untouched;
    else if (now.size() == kUnits - 1)
      ++lost_one;
    else
      ++other;
  }
  EXPECT_GT(lost_one, 50u);            // payload bytes: the checksum finds them
  EXPECT_LT(refused, 40u);             // identity and schema on the first page
  EXPECT_LT(other, lost_one / 2 + 1);  // page headers and pointers
}

// R4: a length of 2^32-1 in a row's header.
TEST_F(DamagedJournal, R4_EnormousLengths) {
  const size_t row = whole_.find(testing_store::key_of(3).hex());
  ASSERT_NE(row, std::string::npos);
  for (size_t back = 1; back < 24; ++back) {
    std::string forged = whole_;
    for (size_t i = 0; i < 5; ++i) forged[row - back + i] = static_cast<char>(i < 4 ? 0xFF : 0x7F);
    const std::string now = survivors(forged);
    EXPECT_TRUE(now == "refused" || now.find('0') != std::string::npos || now.find('5') != std::string::npos || now.empty()) << now;
  }
}

TEST_F(DamagedJournal, RepairNamesWhatItDidAndKeepsTheOriginal) {
  const ScratchDirectory scratch;
  const std::string cut = whole_.substr(0, whole_.size() / 2);
  put_file(scratch / "w.sqlite", cut);
  {
    auto journal = Journal::open(scratch.path().string(), "w");
    ASSERT_TRUE(journal);
    ASSERT_EQ(journal->warnings().size(), 1u);
    EXPECT_THAT(journal->warnings()[0], HasSubstr("finished units were saved, the damaged file is kept as"));
  }
  EXPECT_EQ(get_file(scratch / "w.sqlite.damaged-1"), cut);
  auto again = Journal::open(scratch.path().string(), "w");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->warnings().empty());
}

TEST_F(DamagedJournal, ABentPayloadIsNamedAndDoneAgain) {
  const ScratchDirectory scratch;
  std::string bent = whole_;
  const size_t at = bent.find("payload 2 ");
  ASSERT_NE(at, std::string::npos);
  bent[at] = 'q';
  put_file(scratch / "w.sqlite", bent);
  auto journal = Journal::open(scratch.path().string(), "w");
  ASSERT_TRUE(journal);
  EXPECT_EQ(held(*journal, kUnits), "01345");
  ASSERT_EQ(journal->warnings().size(), 1u);
  EXPECT_THAT(journal->warnings()[0], HasSubstr("is damaged and will be done again"));
  int visited = 0;
  EXPECT_TRUE(journal->for_each("", [&](const Unit&) { return ++visited, Status(); }));
  EXPECT_EQ(visited, kUnits - 1);
  EXPECT_TRUE(put(*journal, 2));
  EXPECT_EQ(held(*journal, kUnits), "012345");
}

}  // namespace
}  // namespace assay
