// Files of items: the three forms, and one fault per case beside a file that loads.
#include "assay/tasks/task_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "assay/base/random.h"

namespace assay {
namespace {

const std::string kChoices = R"({"query": "Question: x\n", "choices": ["a", "bb"], "gold": 1, "ind": 7})";
const std::string kPartial = R"({"context_options": ["x is y", "x is z"], "continuation": "so.", "gold": 0})";
const std::string kText = "Act: context one\n2\nfirst\nsecond\nthird\nfourth\n";

TEST(TaskFile, ReadsTheThreeForms) {
  const auto choices = parse_tasks(kChoices + "\n\n" + kChoices + "\r\n", "a.jsonl");
  ASSERT_TRUE(choices) << choices.error().message;
  EXPECT_EQ(choices->form, TaskForm::kChoices);
  ASSERT_EQ(choices->items.size(), 2u);
  EXPECT_EQ(choices->items[1].line, 3u);
  EXPECT_EQ(choices->items[0].context(1), "Question: x\n");
  EXPECT_EQ(choices->items[0].continuation(1), "bb");
  EXPECT_EQ(choices->items[0].options(), 2u);
  EXPECT_EQ(choices->items[0].gold, 1u);

  const auto partial = parse_tasks("\n" + kPartial, "a.jsonl");
  ASSERT_TRUE(partial) << partial.error().message;
  EXPECT_EQ(partial->form, TaskForm::kPartial);
  EXPECT_EQ(partial->items[0].options(), 2u);
  EXPECT_EQ(partial->items[0].context(1), "x is z");
  EXPECT_EQ(partial->items[0].continuation(1), "so.");

  const auto text = parse_tasks(kText + kText, "a.txt");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->form, TaskForm::kHellaSwagText);
  ASSERT_EQ(text->items.size(), 2u);
  EXPECT_EQ(text->items[1].line, 7u);
  EXPECT_EQ(text->items[1].gold, 2u);
  EXPECT_EQ(text->items[1].continuation(3), "fourth");
  EXPECT_EQ(text->sha256.size(), 64u);
}

TEST(TaskFile, NamesTheLineOfEveryFault) {
  struct Case {
    std::string text, words;
  };
  const Case cases[] = {
      {"", "holds no item"},
      {" \n\n", "holds no item"},
      {kChoices + "\n{\"query\": \"x\"", "line 2 is not JSON"},
      {kChoices + "\n[1]", "line 2 is a list"},
      {kChoices + "\n" + kPartial, "line 2 has the form context options"},
      {R"({"query": "x", "choices": ["a"], "gold": 0})", "line 1: choices"},
      {R"({"query": "x", "choices": "ab", "gold": 0})", "line 1: choices is \"ab\""},
      {R"({"query": "x", "choices": ["a", ""], "gold": 0})", "line 1: choices[1] is empty"},
      {R"({"query": "x", "choices": ["a", 3], "gold": 0})", "line 1: choices[1] is 3"},
      {R"({"query": 1, "choices": ["a", "b"], "gold": 0})", "line 1: query is 1"},
      {R"({"query": "x", "choices": ["a", "b"], "gold": 2})", "line 1: gold is 2"},
      {R"({"query": "x", "choices": ["a", "b"], "gold": -1})", "line 1: gold is -1"},
      {R"({"query": "x", "choices": ["a", "b"], "gold": "0"})", "line 1: gold is \"0\""},
      {R"({"query": "x", "choices": ["a", "b"]})", "line 1 has no gold"},
      {R"({"query": "x", "gold": 0})", "line 1 has neither"},
      {R"({"query": "x", "query": "y", "choices": ["a", "b"], "gold": 0})", "line 1 key 'query' is given twice"},
      {R"({"query": "x", "choices": ["a", "b"], "context_options": ["a", "b"], "gold": 0})", "line 1 has both"},
      {R"({"context_options": ["a", "b"], "continuation": "", "gold": 0})", "line 1: continuation is empty"},
      {"context\n4\na\nb\nc\nd\n", "line 2 is \"4\""},
      {"context\n", "line 1 is missing"},
      {"just some prose\nof two lines\n", "line 2 is \"of two lines\""},
      {kText + "context\n0\na\nb\nc\n", "line 12 is missing"},
      {kText + "context\n0\na\n\nc\nd\n", "line 10 is empty"},
      {kText + "context \xff\n0\na\nb\nc\nd\n", "line 7 is no UTF-8"},
  };
  for (const Case& one : cases) {
    const auto parsed = parse_tasks(one.text, "f");
    ASSERT_FALSE(parsed) << one.text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kBadInput) << one.text;
    EXPECT_NE(parsed.error().message.find(one.words), std::string::npos) << one.text << "\n" << parsed.error().message;
  }
}

TEST(TaskFile, IsBounded) {
  TaskLimits limits;
  limits.line_bytes = kChoices.size();
  ASSERT_TRUE(parse_tasks(kChoices, "f", limits));
  EXPECT_FALSE(parse_tasks(kChoices + " ", "f", limits));
  limits = {};
  limits.items = 1;
  EXPECT_FALSE(parse_tasks(kChoices + "\n" + kChoices, "f", limits));
  EXPECT_FALSE(parse_tasks(kText + kText, "f", limits));
  limits = {};
  limits.options = 1;
  EXPECT_FALSE(parse_tasks(kChoices, "f", limits));
  const std::string path = testing::TempDir() + "assay-tasks-bounded.jsonl";
  std::ofstream(path) << kChoices << "\n";
  limits = {};
  const auto whole = read_tasks(path, limits);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->name, "assay-tasks-bounded");
  limits.file_bytes = kChoices.size();
  EXPECT_FALSE(read_tasks(path, limits));
}

// Any bytes: items or an error, never more.
TEST(TaskFile, SurvivesDamagedFiles) {
  const std::string whole[] = {kChoices + "\n" + kChoices, kPartial, kText + kText};
  size_t refused = 0;
  for (uint64_t trial = 0; trial < 3000; ++trial) {
    CounterRandom random(9, trial);
    std::string text = whole[trial % 3];
    for (uint64_t i = 0; i <= trial % 4; ++i) text[random.next_below(text.size())] = static_cast<char>(random.next_below(256));
    if (trial % 5 == 0) text.resize(random.next_below(text.size()));
    const auto parsed = parse_tasks(text, "f");
    if (!parsed) {
      ++refused;
      EXPECT_EQ(parsed.error().code, ErrorCode::kBadInput);
      continue;
    }
    for (const TaskItem& item : parsed->items) EXPECT_LT(item.gold, item.options());
  }
  EXPECT_GT(refused, 1000u);
}

TEST(TaskFile, ClustersItemsWithOneFirstLine) {
  const auto item = [](std::vector<std::string> contexts) { return TaskItem{std::move(contexts), {"a", "b"}, 0, 1}; };
  EXPECT_EQ(clusters_of({item({"Passage: p\nq1"}), item({"other"}), item({"Passage: p\nq2"}), item({"a", "b"}), item({"a", "b"})}),
            (std::vector<uint32_t>{0, 1, 0, 2, 2}));
}

}  // namespace
}  // namespace assay
