#include "assay/score/published_truth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <span>

#include "assay/base/random.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<ByteSource> source_of(const std::string& text) {
  const auto view = std::as_bytes(std::span(text));
  std::vector<std::byte> bytes(view.begin(), view.end());
  return memory_source(std::move(bytes), "made.csv");
}

Result<PublishedTable> table_of(const std::string& text) { return read_published_table(*source_of(text)); }
Result<std::vector<MappedTensor>> map_of(const std::string& text) { return read_tensor_map(*source_of(text)); }

const std::string kTable =
    "QTYPE,blk.0.attn_q.weight,blk.0.ffn_up.weight,output.weight\n"
    "iq1_kt,0.0054,404,0.25\n"
    "q8_KV,0.0001,0.0003,1e-3\n";
const std::string kMap =
    "m-00002-of-00004.gguf:00ff:blk.0.attn_q.weight:shape=(8, 4):dtype=bf16:elements=32:bytes=64\n"
    "m-00003-of-00004.gguf:00ff:blk.0.ffn_up.weight:shape=(8, 2, 3):dtype=bf16:elements=48:bytes=96:imatrix=00aa\n"
    "m-00004-of-00004.gguf:00ff:output.weight:shape=(7,):dtype=f32:elements=7:bytes=28\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(PublishedTable, ReadsByHand) {
  const auto table = table_of(kTable);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->columns, ElementsAre("blk.0.attn_q.weight", "blk.0.ffn_up.weight", "output.weight"));
  ASSERT_EQ(table->rows.size(), 2u);
  EXPECT_EQ(table->rows[0].type, "iq1_kt");
  EXPECT_EQ(table->rows[0].values[0], 0.0054);
  EXPECT_TRUE(std::isnan(table->rows[0].values[1]));
  EXPECT_THAT(table->rows[1].values, ElementsAre(0.0001, 0.0003, 0.001));
  EXPECT_FALSE(table->percent);
}

TEST(PublishedTable, OtherFormsThatAreFine) {
  std::string dos = kTable;
  for (size_t at = 0; (at = dos.find('\n', at)) != std::string::npos; at += 2) dos.replace(at, 1, "\r\n");
  const std::string fine[] = {dos, kTable.substr(0, kTable.size() - 1), kTable + "\n\n", "QTYPE,group0\nbf16,0\n"};
  for (const std::string& text : fine) EXPECT_TRUE(table_of(text)) << text;
  EXPECT_EQ(table_of(dos)->rows[1].values[2], 0.001);
  const auto percent = table_of("QTYPE,a,b,c\nx,+0.03%,404,-1.5%\ny,404%,1%,2%\n");
  ASSERT_TRUE(percent) << percent.error().message;
  EXPECT_TRUE(percent->percent);
  EXPECT_EQ(percent->rows[0].values[0], 0.03);
  EXPECT_EQ(percent->rows[0].values[2], -1.5);
  EXPECT_TRUE(std::isnan(percent->rows[0].values[1]));
  EXPECT_TRUE(std::isnan(percent->rows[1].values[0]));
}

struct Fault {
  const char* what;
  std::string text;
  const char* message;
};

TEST(PublishedTable, NamesLineAndField) {
  ASSERT_TRUE(table_of(kTable));
  const Fault faults[] = {
      {"empty", "", "is empty"},
      {"blank", "\n\n", "is empty"},
      {"not a table", replaced(kTable, "QTYPE", "qtype"), "line 1: field 1 is 'qtype'; needed 'QTYPE'"},
      {"no tensor", "QTYPE\nx\n", "line 1: header names no tensor"},
      {"empty name", replaced(kTable, "blk.0.ffn_up.weight", ""), "line 1: field 3 is ''"},
      {"odd name", replaced(kTable, "blk.0.ffn_up.weight", "blk 0"), "line 1: field 3 is 'blk 0'"},
      {"control byte in name", replaced(kTable, "blk.0.ffn_up.weight", "a\x01"), "is 'a\\x01'"},
      {"long name", replaced(kTable, "blk.0.ffn_up.weight", std::string(257, 'a')), "line 1: field 3"},
      {"name twice", replaced(kTable, "blk.0.ffn_up.weight", "blk.0.attn_q.weight"), "line 1: field 3 is 'blk.0.attn_q.weight' again"},
      {"no row", "QTYPE,a\n", "has no row"},
      {"short row", replaced(kTable, ",404,0.25", ",404"), "line 2: row has 3 fields; needed the header's 4"},
      {"long row", replaced(kTable, "0.25", "0.25,1"), "line 2: row has 5 fields"},
      {"blank line between", replaced(kTable, "\nq8", "\n\nq8"), "line 3: row has 1 fields"},
      {"no type", replaced(kTable, "q8_KV", ""), "line 3: field 'QTYPE' is ''"},
      {"type twice", replaced(kTable, "q8_KV", "iq1_kt"), "line 3: field 'QTYPE' is 'iq1_kt' again"},
      {"empty cell", replaced(kTable, "404", ""), "line 2: field 'blk.0.ffn_up.weight' is ''; needed a finite number"},
      {"word", replaced(kTable, "0.0003", "none"), "line 3: field 'blk.0.ffn_up.weight' is 'none'"},
      {"rest after number", replaced(kTable, "0.0003", "0.0003x"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"space", replaced(kTable, "0.0003", " 0.0003"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"NaN", replaced(kTable, "0.0003", "nan"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"infinite", replaced(kTable, "0.0003", "inf"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"too large", replaced(kTable, "0.0003", "1e999"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"two signs", replaced(kTable, "0.0003", "+-1"), "line 3: field 'blk.0.ffn_up.weight'"},
      {"mixed units", replaced(kTable, "0.0003", "3%"), "line 3: field 'blk.0.ffn_up.weight' is '3%'; needed no percentage"},
  };
  for (const Fault& fault : faults) {
    const auto table = table_of(fault.text);
    ASSERT_FALSE(table) << fault.what;
    EXPECT_EQ(table.error().code, ErrorCode::kBadInput) << fault.what;
    EXPECT_THAT(table.error().message, HasSubstr(fault.message)) << fault.what;
    EXPECT_THAT(table.error().message, HasSubstr("made.csv")) << fault.what;
  }
  std::string wide = "QTYPE";
  for (int c = 0; c < 70000; ++c) wide += ",t" + std::to_string(c);
  const auto table = table_of(wide + "\n");
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("names 70,000 tensors; needed fewer than 65,536"));
}

TEST(TensorMap, ReadsByHand) {
  const auto map = map_of(kMap);
  ASSERT_TRUE(map) << map.error().message;
  ASSERT_EQ(map->size(), 3u);
  EXPECT_EQ(map->at(1).name, "blk.0.ffn_up.weight");
  EXPECT_THAT(map->at(1).shape, ElementsAre(8u, 2u, 3u));
  EXPECT_EQ(map->at(1).dtype, "bf16");
  EXPECT_EQ(map->at(1).elements, 48u);
  EXPECT_EQ(map->at(1).bytes, 96u);
  EXPECT_THAT(map->at(2).shape, ElementsAre(7u));
}

TEST(TensorMap, NamesLineAndField) {
  ASSERT_TRUE(map_of(kMap));
  const Fault faults[] = {
      {"empty", "", "is empty"},
      {"few fields", replaced(kMap, ":bytes=64", ""), "line 1: tensor has 6 fields"},
      {"blank line between", replaced(kMap, "bytes=64\n", "bytes=64\n\n"), "line 2: tensor has 1 fields"},
      {"empty name", replaced(kMap, "output.weight", ""), "line 3: field 'name' is ''"},
      {"name twice", replaced(kMap, "blk.0.ffn_up.weight", "blk.0.attn_q.weight"), "line 2: field 'name' is 'blk.0.attn_q.weight' again"},
      {"no shape", replaced(kMap, "shape=", "form="), "line 1: field 'shape' is 'form=(8, 4)'"},
      {"no brackets", replaced(kMap, "(8, 4)", "8, 4"), "line 1: field 'shape' is '8, 4'"},
      {"no sizes", replaced(kMap, "(8, 4)", "()"), "line 1: field 'shape' is '()'"},
      {"a gap", replaced(kMap, "(8, 4)", "(8, , 4)"), "line 1: field 'shape'"},
      {"size 0", replaced(kMap, "(8, 4)", "(8, 0)"), "line 1: field 'shape'"},
      {"negative", replaced(kMap, "(8, 4)", "(8, -4)"), "line 1: field 'shape'"},
      {"five sizes", replaced(kMap, "(8, 4)", "(8, 4, 1, 1, 1)"), "line 1: field 'shape'"},
      {"no type", replaced(kMap, "dtype=f32", "dtype="), "line 3: field 'dtype' is ''"},
      {"elements word", replaced(kMap, "elements=32", "elements=x"), "line 1: field 'elements' is 'x'"},
      {"elements wrong", replaced(kMap, "elements=32", "elements=33"), "line 1: field 'elements' is 33; needed the product"},
      {"overflow", replaced(kMap, "(8, 4)", "(4294967296, 4294967296)"), "line 1: field 'elements' is 32; needed the product"},
      {"too many elements", replaced(replaced(kMap, "(8, 4)", "(281474976710656,)"), "elements=32", "elements=281474976710656"),
       "line 1: field 'elements' is 281,474,976,710,656; needed at most"},
      {"elements beyond 64 bits", replaced(kMap, "elements=32", "elements=99999999999999999999"), "line 1: field 'elements'"},
      {"bytes word", replaced(kMap, "bytes=28", "bytes=many"), "line 3: field 'bytes' is 'many'"},
  };
  for (const Fault& fault : faults) {
    const auto map = map_of(fault.text);
    ASSERT_FALSE(map) << fault.what;
    EXPECT_EQ(map.error().code, ErrorCode::kBadInput) << fault.what;
    EXPECT_THAT(map.error().message, HasSubstr(fault.message)) << fault.what;
  }
}

// Whatever the bytes, a reader answers.
TEST(PublishedFiles, SurviveChangedBytes) {
  CounterRandom random(1, 0);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string table = kTable, map = kMap;
    for (std::string* text : {&table, &map}) {
      for (int change = 0; change < 1 + trial % 3; ++change)
        (*text)[random.next_below(text->size())] = "\n,:=()%+-.0e\xff\x00 4"[random.next_below(17)];
      if (trial % 5 == 0) text->resize(random.next_below(text->size()));
    }
    const auto read = table_of(table);
    const auto mapped = map_of(map);
    if (read && mapped) (void)published_truth(*read, *mapped);
  }
}

TEST(PublishedTruth, ByHand) {
  const auto truth = published_truth(*table_of(kTable), *map_of(kMap));
  ASSERT_TRUE(truth) << truth.error().message;
  ASSERT_EQ(truth->measurements.size(), 5u) << "404 is none";
  EXPECT_TRUE(truth->not_run.empty());
  EXPECT_EQ(truth->model.layers(), 1);
  const TournamentTruth items = tournament_truth(*truth);
  ASSERT_EQ(items.items.size(), 5u);
  for (const TournamentItem& item : items.items) {
    if (item.role != "ffn_up") continue;
    EXPECT_EQ(item.name, "blk.0.ffn_up");
    EXPECT_EQ(item.type, "q8_KV");
    EXPECT_EQ(item.elements, 48u);
    EXPECT_EQ(item.truth, 0.0003);
  }
  const auto missing = published_truth(*table_of(replaced(kTable, "blk.0.ffn_up", "blk.1.ffn_up")), *map_of(kMap));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(missing.error().message, HasSubstr("'blk.1.ffn_up.weight' is not in the tensor map"));
  const auto nothing = published_truth(*table_of("QTYPE,output.weight\nx,404\n"), *map_of(kMap));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kMismatch);
}

// Keys and values are copies in blocks 0 and 1 of three: one measurement there, two in block 2. Queries equal keys in block 2 alone, which
// is chance; block 3 says the same of everything and was not run.
TEST(PublishedTruth, CopiesAreOneMeasurement) {
  const double values[4][3] = {{1, 2, 2}, {3, 4, 4}, {6, 6, 7}, {5, 5, 5}};  // q, k, v
  PublishedTable table{{}, {{"x", {}}}, false};
  std::vector<MappedTensor> map;
  const char* roles[] = {"attn_q", "attn_k", "attn_v"};
  for (size_t layer = 0; layer < 4; ++layer)
    for (size_t r = 0; r < 3; ++r) {
      table.columns.push_back("blk." + std::to_string(layer) + "." + roles[r] + ".weight");
      table.rows[0].values.push_back(values[layer][r]);
      map.push_back({table.columns.back(), {10}, "bf16", 10, 20});
    }
  const auto truth = published_truth(table, map);
  ASSERT_TRUE(truth);
  std::vector<std::string> names;
  for (const PublishedMeasurement& measurement : truth->measurements) names.push_back(measurement.name);
  EXPECT_THAT(names, ElementsAre("blk.0.attn_q", "blk.0.attn_k+attn_v", "blk.1.attn_q", "blk.1.attn_k+attn_v", "blk.2.attn_q",
                                 "blk.2.attn_k", "blk.2.attn_v"));
  EXPECT_EQ(truth->not_run.size(), 3u);
  EXPECT_EQ(truth->model.layers(), 3);
  const NameScore& size = name_scores()[0];
  const TournamentScore sizes = tournament_score(*truth, size);
  EXPECT_EQ(sizes.name, "size");
  EXPECT_THAT(sizes.values, ElementsAre(10, 20, 10, 20, 10, 10, 10));
}

const std::string kMeasured = ASSAY_SOURCE_DIR "/../shared/data/measured/";

struct PublishedModel {
  const char* directory;
  size_t columns, measurements, not_run;
  int layers;
};

// What was measured of four real models: their tables read, tensors changed together are one, a block for drafting is none.
class PublishedModels : public testing::TestWithParam<PublishedModel> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kMeasured)) GTEST_SKIP() << "no ../shared/data here";
  }
  template <class T>
  T read(const char* file, Result<T> (*reader)(const ByteSource&)) const {
    const auto source = open_file(kMeasured + GetParam().directory + "/" + file);
    EXPECT_TRUE(source) << source.error().message;
    auto result = reader(**source);
    EXPECT_TRUE(result) << result.error().message;
    return std::move(*result);
  }
};

TEST_P(PublishedModels, AreRead) {
  const PublishedModel& model = GetParam();
  const auto map = read("tensors.bf16.map", read_tensor_map);
  const auto table = read("kld_results.csv", read_published_table);
  EXPECT_EQ(table.columns.size(), model.columns);
  EXPECT_EQ(read("ppl_results.csv", read_published_table).columns, table.columns);
  const auto whole = read("group0/kld_results.csv", read_published_table);
  EXPECT_THAT(whole.columns, ElementsAre("group0"));
  EXPECT_EQ(whole.rows.size(), 64u);
  const auto truth = published_truth(table, map);
  ASSERT_TRUE(truth) << truth.error().message;
  EXPECT_EQ(truth->measurements.size(), model.measurements);
  EXPECT_EQ(truth->not_run.size(), model.not_run);
  EXPECT_EQ(truth->model.layers(), model.layers);
}

// Scores of names on them. What holds for each: a role alone says nothing within roles, size is never more than size, and nobody is told
// to trust a random number.
TEST_P(PublishedModels, JudgeScoresOfNames) {
  const auto truth = published_truth(read("kld_results.csv", read_published_table), read("tensors.bf16.map", read_tensor_map));
  ASSERT_TRUE(truth);
  const TournamentTruth items = tournament_truth(*truth);
  std::vector<TournamentScore> scores;
  for (const NameScore& score : name_scores()) scores.push_back(tournament_score(*truth, score));
  TournamentScore lot{"lot", {}, false};
  std::map<std::string, uint64_t> numbers;
  for (const TournamentItem& item : items.items)
    lot.values.push_back(CounterRandom(7, numbers.try_emplace(item.name, numbers.size()).first->second).next_uniform());
  scores.push_back(lot);
  const auto judgements = judge_scores(items, scores);
  ASSERT_TRUE(judgements) << judgements.error().message;
  for (const ScoreJudgement& judgement : *judgements) {
    EXPECT_EQ(judgement.items, items.items.size());
    ASSERT_TRUE(judgement.within_type.spearman.over_blocks) << judgement.name;
    EXPECT_FALSE(judgement.within_type.spearman.over_documents);
    if (judgement.name == "ramp-role") {
      EXPECT_NEAR(*judgement.within_role.spearman.value, 0, 1e-12);
    }
    if (judgement.name == "size" || judgement.name == "lot") {
      EXPECT_NE(judgement.verdict, ScoreVerdict::kInformative) << judgement.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, PublishedModels,
                         testing::Values(PublishedModel{"Qwen3-4B-Instruct-2507", 253, 1770, 0, 36},
                                         PublishedModel{"Qwen3.5-0.8B", 187, 187, 0, 24},
                                         PublishedModel{"Qwen3.5-35B-A3B", 432, 352, 0, 40},
                                         PublishedModel{"GLM-4.5-Air", 457, 315, 10, 46}));

}  // namespace
}  // namespace assay
