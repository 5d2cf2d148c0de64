#include "assay/plan/terms_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/file/test_files.h"

namespace assay {
namespace {

using T = GgmlType;

DamageTable table() {
  DamageTable made;
  made.estimator = "curvature:centred";
  made.rows = {{"a.weight", {"a.weight"}, {{T::kQ4_K, 0.5, 0.1, false}, {T::kF16, 0, 0, false}}},
               {"b.weight", {"b.weight"}, {{T::kQ4_K, 0.25, 0.1, false}, {T::kQ6_K, 0.125, 0, false}}}};
  return made;
}

std::vector<float> terms_of(size_t seed) { return {static_cast<float>(seed), -1, 0.5f}; }

class TermsFileTest : public testing::Test {
 protected:
  std::string path() const { return dir_ / "terms.safetensors"; }
  // Tensors as they are given, with the metadata of a good file.
  void write(const std::vector<std::pair<SafetensorShape, std::vector<float>>>& tensors, const std::map<std::string, std::string>& facts) {
    std::vector<SafetensorShape> shapes;
    for (const auto& [shape, values] : tensors) shapes.push_back(shape);
    OutputOptions options;
    options.force = true;
    auto file = SafetensorsWriter::create(path(), shapes, facts, options);
    ASSERT_TRUE(file) << file.error().message;
    for (const auto& [shape, values] : tensors) ASSERT_TRUE(file->write(shape.name, values));
    ASSERT_TRUE(file->commit());
  }
  testing_files::ScratchDirectory dir_;
};

TEST_F(TermsFileTest, RoundTrip) {
  auto file = TermsWriter::create(path(), table(), 3, {{"model_sha256", "abc"}, {"seed", "7"}}, {});
  ASSERT_TRUE(file) << file.error().message;
  size_t seed = 0;
  for (const DamageRow& row : table().rows)
    for (const DamageCell& cell : row.cells) ASSERT_TRUE(file->write(row.name, cell.type, terms_of(seed++)));
  ASSERT_TRUE(file->commit());
  const auto read = TermsFile::read(path(), table(), "abc");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->length(), 3u);
  const auto terms = read->terms("b.weight", T::kQ6_K);
  EXPECT_EQ(std::vector<float>(terms.begin(), terms.end()), terms_of(3));
  EXPECT_TRUE(read->terms("b.weight", T::kQ8_0).empty());
  EXPECT_TRUE(read->terms("c.weight", T::kQ4_K).empty());
  // The table through its JSON is the same table; of an unknown model nothing is refused.
  EXPECT_TRUE(TermsFile::read(path(), *damage_table_from_json(to_json(table())), ""));
}

// How many terms follow one another for a window, where the metadata say it.
TEST_F(TermsFileTest, RunOfAWindow) {
  struct Case {
    std::map<std::string, std::string> facts;
    size_t run;
  };
  const Case cases[] = {
      {{}, 1},
      {{{"windows", "3"}}, 1},
      {{{"windows", "3"}, {"samples", "1"}}, 4},
      {{{"windows", "3"}, {"samples", "2"}}, 2},
      {{{"windows", "5"}, {"samples", "1"}}, 1},
      {{{"windows", "0"}, {"samples", "1"}}, 1},
      {{{"windows", "3x"}, {"samples", "1"}}, 1},
      {{{"windows", "99999999999999999999"}, {"samples", "1"}}, 1},
      {{{"windows", "4294967296"}, {"samples", "4294967296"}}, 1},
  };
  for (const auto& [facts, run] : cases) {
    OutputOptions options;
    options.force = true;
    auto file = TermsWriter::create(path(), table(), 12, facts, options);
    ASSERT_TRUE(file) << file.error().message;
    for (const DamageRow& row : table().rows)
      for (const DamageCell& cell : row.cells) ASSERT_TRUE(file->write(row.name, cell.type, std::vector<float>(12, 1.f)));
    ASSERT_TRUE(file->commit());
    const auto read = TermsFile::read(path(), table(), "");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->run(), run);
  }
}

// A control that reads, then one fault per case.
TEST_F(TermsFileTest, FaultsAreNamed) {
  using Tensors = std::vector<std::pair<SafetensorShape, std::vector<float>>>;
  const Tensors good = {
      {{"a.weight@Q4_K", {3}}, terms_of(0)}, {{"b.weight@Q4_K", {3}}, terms_of(1)}, {{"b.weight@Q6_K", {3}}, terms_of(2)}};
  const std::map<std::string, std::string> facts = {{"model_sha256", "abc"}, {"table_sha256", rows_sha256(table())}};
  write(good, facts);
  const auto control = TermsFile::read(path(), table(), "abc");  // the cell without damage may lack
  ASSERT_TRUE(control) << control.error().message;
  struct Fault {
    std::function<void(Tensors&, std::map<std::string, std::string>&)> make;
    ErrorCode code;
    std::string words;
  };
  const Fault faults[] = {
      {[](auto& tensors, auto&) { tensors.erase(tensors.begin() + 1); }, ErrorCode::kMismatch, "'b.weight@Q4_K' is not there"},
      {[](auto& tensors, auto&) { tensors[2] = {{"b.weight@Q6_K", {2}}, {1, 2}}; }, ErrorCode::kBadInput, "has 2 terms"},
      {[](auto& tensors, auto&) { tensors[0] = {{"a.weight@Q4_K", {3, 1}}, terms_of(0)}; }, ErrorCode::kBadInput, "2 dimensions"},
      {[](auto& tensors, auto&) { tensors[1].second[2] = NAN; }, ErrorCode::kBadInput, "not finite, at 2"},
      {[](auto& tensors, auto&) { tensors[1].second[0] = INFINITY; }, ErrorCode::kBadInput, "not finite, at 0"},
      {[](auto&, auto& metadata) { metadata["model_sha256"] = "abd"; }, ErrorCode::kMismatch, "another model"},
      {[](auto&, auto& metadata) { metadata["table_sha256"] = "0"; }, ErrorCode::kMismatch, "another table"},
  };
  for (const Fault& fault : faults) {
    Tensors tensors = good;
    auto metadata = facts;
    fault.make(tensors, metadata);
    write(tensors, metadata);
    const auto read = TermsFile::read(path(), table(), "abc");
    ASSERT_FALSE(read) << fault.words;
    EXPECT_EQ(read.error().code, fault.code) << fault.words;
    EXPECT_NE(read.error().message.find(fault.words), std::string::npos) << read.error().message;
  }
  EXPECT_EQ(TermsFile::read(dir_ / "nothing", table(), "").error().code, ErrorCode::kNotFound);
}

TEST_F(TermsFileTest, ACellThatIsNotWrittenIsAnError) {
  auto file = TermsWriter::create(path(), table(), 3, {}, {});
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->write("a.weight", T::kQ4_K, terms_of(0)));
  EXPECT_FALSE(file->write("a.weight", T::kQ8_0, terms_of(0)));
  EXPECT_EQ(file->commit().error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace assay
