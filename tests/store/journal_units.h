// What the journal's tests share: numbered units and the set of those a journal holds.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "assay/store/journal.h"
#include "tests/file/test_files.h"

namespace assay::testing_store {

using testing_files::ScratchDirectory;

inline UnitKey key_of(int number) {
  UnitKey key("test");
  key.add("model", "abc").add("seed", 7).add("number", number);
  return key;
}

// Large enough to need overflow pages.
inline std::string payload_of(int number) {
  std::string payload = "payload " + std::to_string(number) + " ";
  while (payload.size() < 9000) payload += static_cast<char>(payload.size() * 131 + static_cast<size_t>(number));
  return payload;
}

inline Status put(Journal& journal, int number) { return journal.put(key_of(number), payload_of(number), {0.5, "here"}); }

inline void fill(const ScratchDirectory& scratch, int count, const std::string& worker = "w") {
  auto journal = Journal::open(scratch.path().string(), worker);
  ASSERT_TRUE(journal) << journal.error().message;
  for (int i = 0; i < count; ++i) ASSERT_TRUE(put(*journal, i));
}

// Which of the units 0..count-1 are there; each that is must be whole.
inline std::string held(Journal& journal, int count) {
  std::string found;
  for (int i = 0; i < count; ++i) {
    const auto payload = journal.get(key_of(i));
    EXPECT_TRUE(payload) << payload.error().message;
    if (!payload || !*payload) continue;
    EXPECT_EQ(**payload, payload_of(i));
    found += std::to_string(i);
  }
  return found;
}

}  // namespace assay::testing_store
