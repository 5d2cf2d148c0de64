// The page's data: escaped, whole, refused by name where a file is not a result. And the figures that become files.
#include "assay/report/report_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/report/report_figures.h"
#include "tests/file/test_files.h"
#include "tests/report/example_results.h"

namespace assay {
namespace {

using examples::Json;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kTemplate = "<body><script type=\"application/json\">@ASSAY_REPORT_DATA@</script></body>";
const std::map<std::string, double> kBits = {{"Q3_K", 3.4375}, {"Q4_K", 4.5}, {"Q6_K", 6.5625}};

// What a browser finds between the tags.
Json data_of(const std::string& page) {
  const size_t begin = page.find("json\">") + 6;
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

Result<std::string> page_of(const std::string& text) {
  const ReportSource source{"some.json", text};
  return make_report_page(kTemplate, std::span(&source, 1), kBits);
}

TEST(ReportPage, HoldsTheResultUnchanged) {
  const Json result = examples::envelope("optimize", examples::optimize_result());
  const auto page = page_of(result.dump(2));
  ASSERT_TRUE(page) << page.error().message;
  const Json data = data_of(*page);
  EXPECT_EQ(data["runs"].size(), 1u);
  EXPECT_EQ(data["runs"][0]["path"], "some.json");
  EXPECT_EQ(data["runs"][0]["report"], result);
  EXPECT_EQ(data["type_bits"]["Q4_K"], 4.5);
}

TEST(ReportPage, SeveralResultsKeepTheirOrder) {
  const std::vector<ReportSource> sources = {{"b.json", examples::envelope("sweep", Json::object()).dump()},
                                             {"a.json", examples::envelope("plan", Json::object()).dump()}};
  const auto page = make_report_page(kTemplate, sources, kBits);
  ASSERT_TRUE(page);
  const Json data = data_of(*page);
  EXPECT_EQ(data["runs"][0]["report"]["command"], "sweep");
  EXPECT_EQ(data["runs"][1]["path"], "a.json");
}

TEST(ReportPage, NoTextOfAResultEndsItsElement) {
  const std::string hostile = "</script><script>alert(1)</script><!-- ]]> \xE2\x80\xA8 @ASSAY_REPORT_DATA@";
  Json result = examples::envelope("inspect", {{hostile, hostile}});
  const ReportSource source{hostile, result.dump()};
  const auto page = make_report_page(kTemplate, std::span(&source, 1), {{hostile, 1.0}});
  ASSERT_TRUE(page);
  const size_t begin = page->find("json\">") + 6, end = page->find("</script>", begin);
  EXPECT_THAT(page->substr(begin, end - begin), Not(HasSubstr("<")));
  EXPECT_EQ(page->substr(end), "</script></body>");
  EXPECT_EQ(data_of(*page)["runs"][0]["report"], result);
}

TEST(ReportPage, AnExportedRunIsShownAsTheRun) {
  const Json run = examples::envelope("eval", examples::eval_result());
  const auto page = page_of(examples::envelope("export", {{"run", "0123456789ab"}, {"report", run}}).dump());
  ASSERT_TRUE(page);
  EXPECT_EQ(data_of(*page)["runs"][0]["report"]["command"], "eval");
}

TEST(ReportPage, RefusesWhatIsNoResultByName) {
  const std::string good = examples::envelope("eval", examples::eval_result()).dump();
  ASSERT_TRUE(page_of(good));  // the control
  const std::pair<std::string, const char*> bad[] = {
      {"", "is not JSON"},
      {good.substr(0, good.size() - 1), "is not JSON"},
      {good + "x", "is not JSON"},
      {"\"\xFF\"", "is not JSON"},
      {"[]", "is not the result of a command"},
      {"{\"command\": \"eval\"}", "is not the result of a command"},
      {"{\"command\": 3, \"result\": {}}", "is not the result of a command"},
      {"{\"command\": \"eval\", \"result\": []}", "is not the result of a command"},
      {std::string(100'000, '['), "is nested too deeply"},
      {"{\"command\": \"eval\", \"result\": {\"a\": " + std::string(1000, '[') + std::string(1000, ']') + "}}", "is nested too deeply"},
  };
  for (const auto& [text, complaint] : bad) {
    const auto page = page_of(text);
    ASSERT_FALSE(page) << text.substr(0, 60);
    EXPECT_EQ(page.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(page.error().message, HasSubstr("some.json"));
    EXPECT_THAT(page.error().message, HasSubstr(complaint));
  }
  EXPECT_EQ(make_report_page(kTemplate, {}, kBits).error().code, ErrorCode::kUsage);
  const ReportSource source{"some.json", good};
  EXPECT_EQ(make_report_page("<body></body>", std::span(&source, 1), kBits).error().code, ErrorCode::kBadInput);
}

TEST(ReportPage, AMissingTemplateSaysHowToMakeIt) {
  testing_files::ScratchDirectory dir;
  const auto missing = read_report_template(dir / "report.html");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("make web"));
  ASSERT_TRUE(write_text_file(dir / "report.html", "<html></html>", {}));
  EXPECT_EQ(read_report_template(dir / "report.html").error().code, ErrorCode::kBadInput);
  ASSERT_TRUE(write_text_file(dir / "report.html", kTemplate, {.force = true}));
  EXPECT_EQ(read_report_template(dir / "report.html").value(), kTemplate);
}

std::vector<std::string> figure_names(const Json& result) {
  const auto figures = report_figures({"some.json", result.dump()}, kBits);
  EXPECT_TRUE(figures) << figures.error().message;
  std::vector<std::string> names;
  for (const auto& [name, figure] : figures.value()) {
    const auto drawn = to_svg(figure);
    EXPECT_TRUE(drawn) << name << ": " << drawn.error().message;
    names.push_back(name);
  }
  return names;
}

TEST(ReportFigures, EveryKindThatCanBeDrawn) {
  using testing::ElementsAre;
  std::map<std::string, std::vector<std::string>> names;
  for (const auto& [name, result] : examples::all_results()) names[name] = figure_names(result);
  EXPECT_THAT(names["sweep"], ElementsAre("damage_Q2_K", "damage_Q4_K", "damage_Q8_0"));
  EXPECT_THAT(names["score"], ElementsAre("score_weight_norm"));
  EXPECT_THAT(names["optimize"], ElementsAre("files", "recipe"));
  EXPECT_THAT(names["compare"], ElementsAre("agreement_damage"));
  EXPECT_THAT(names["frontier"], ElementsAre("frontier"));
  EXPECT_THAT(names["plan"], ElementsAre("recipe"));
  EXPECT_THAT(names["probe"], ElementsAre("variants"));
  EXPECT_THAT(names["study"], ElementsAre("verdicts"));
  for (const char* study : {"attention", "awq", "outliers", "pqi", "qpsa"}) EXPECT_THAT(names[study], ElementsAre("verdicts")) << study;
  EXPECT_THAT(names["unknown"], ElementsAre());
}

TEST(ReportFigures, AMapHasLayersAcrossAndRolesDown) {
  const auto figures = report_figures({"some.json", examples::envelope("plan", examples::plan_result()).dump()}, kBits);
  ASSERT_TRUE(figures);
  const Figure& map = figures->at(0).second;
  EXPECT_THAT(map.x.categories, testing::ElementsAre("0", "1", "2"));
  EXPECT_THAT(map.y.categories, testing::SizeIs(7));
  EXPECT_EQ(map.y.categories.at(0), "attn_q");
  EXPECT_THAT(map.footnote, HasSubstr("token_embd.weight 3.438"));
  const auto& cells = std::get<Cells>(map.series.at(0)).cells;
  ASSERT_EQ(cells.size(), 21u);
  EXPECT_EQ(cells.at(0).value, 4.5);  // blk.0.attn_q: the recipe's second tensor
}

}  // namespace
}  // namespace assay
