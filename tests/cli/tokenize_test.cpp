// assay tokenize: text to ids and back, from files, prompts and standard input.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program.h"
#include "tests/text/samples.h"

namespace assay {
namespace {

using cli_test::run;
const std::string kTokenize = "tokenize demo/reference-9m ";

std::string decode(const nlohmann::json& ids) {
  std::string list;
  for (const auto& id : ids) list += (list.empty() ? "" : ",") + id.dump();
  return cli_test::result(kTokenize + "--decode " + list)["text"];
}

TEST(TokenizeCommand, RoundTripsThroughStandardInput) {
  const auto dir = cli_test::scratch("tokenize");
  for (const std::string& text : {std::string("Hello, world!"), std::string("naïve 漢字 👍🏽\r\n\t  x  \n\n"),
                                  std::string("a<|endoftext|>\nb"), samples::slurp(ASSAY_SOURCE_DIR "/cli/tokenize.cpp").substr(0, 2000)}) {
    std::ofstream(dir / "text", std::ios::binary) << text;
    const std::string file = interop::shell_quoted((dir / "text").string());
    const auto piped = cli_test::result(kTokenize + "--text -", "cat " + file + " |");
    EXPECT_EQ(decode(piped["ids"]), text);
    EXPECT_EQ(piped["ids"], cli_test::result(kTokenize + "--text " + file)["ids"]);
    EXPECT_EQ(piped["tokens"], piped["ids"].size());
  }
  std::filesystem::remove_all(dir);
}

TEST(TokenizeCommand, PrintsIdsAndCounts) {
  const auto ids = cli_test::result(kTokenize + "--prompt 'the the'")["ids"];
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(run(kTokenize + "--prompt 'the the'").output, ids[0].dump() + " " + ids[1].dump() + "\n2 tokens\n");
  EXPECT_NE(run(kTokenize + "--prompt 'the the' --show").output.find("the\n"), std::string::npos);
  EXPECT_EQ(run(kTokenize + "--text -", "printf '' |").output, "0 tokens\n");
}

TEST(TokenizeCommand, SpecialTokensAreParsedUnlessToldOtherwise) {
  EXPECT_EQ(cli_test::result(kTokenize + "--prompt '<|endoftext|>'")["tokens"], 1);
  EXPECT_GT(cli_test::result(kTokenize + "--prompt '<|endoftext|>' --no-parse-special")["tokens"], 1);
}

TEST(TokenizeCommand, BadIdsAreNamed) {
  const auto word = run(kTokenize + "--decode 1,two,3");
  EXPECT_EQ(word.exit_code, 64);
  EXPECT_NE(word.output.find("'two'"), std::string::npos) << word.output;
  const auto large = run(kTokenize + "--decode 8192");
  EXPECT_EQ(large.exit_code, 64);
  EXPECT_NE(large.output.find("8,191"), std::string::npos) << large.output;
}

}  // namespace
}  // namespace assay
