#include "assay/score/quantized_set.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(QuantizedSet, PartsWhatFitsFromWhatStays) {
  const std::string names[] = {"a", "bb", "c", "dd"};
  const TypeFit fit = type_fit(names, [](const std::string& name) { return name.size() == 1; });
  EXPECT_EQ(fit.tensors, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(note_of(fit, GgmlType::kQ4_K), "Q4_K: cannot hold bb, dd, which stay as they are");
  EXPECT_EQ(note_of({{"a"}, {}}, GgmlType::kQ4_K), "");
}

TEST(QuantizedSet, StoresEachOnceAndPassesErrorsOn) {
  std::vector<std::string> asked;
  const auto store = [&](const std::string& name, GgmlType type) -> Result<StoredMatrix> {
    asked.push_back(name);
    if (name == "broken") return fail(ErrorCode::kBadInput, "broken");
    return StoredMatrix{type, std::vector<std::byte>(name.size())};
  };
  const std::string names[] = {"a", "bb"};
  const auto made = stored_at(GgmlType::kQ8_0, names, store);
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->at("bb").bytes.size(), 2u);
  EXPECT_EQ((*made)->at("a").type, GgmlType::kQ8_0);
  EXPECT_EQ(asked, (std::vector<std::string>{"a", "bb"}));
  const std::string bad[] = {"a", "broken"};
  EXPECT_FALSE(stored_at(GgmlType::kQ8_0, bad, store));
}

}  // namespace
}  // namespace assay
