// Every command is documented, and the quick ones of docs/cli.md run as written there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

#include "tests/interop/python.h"

namespace assay {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

interop::PythonRun run(const std::string& arguments) {
  return interop::run_shell("cd " + interop::shell_quoted(ASSAY_SOURCE_DIR) + " && " + interop::shell_quoted(ASSAY_PROGRAM) + " " +
                            arguments);
}

std::set<std::string> documented() {
  std::set<std::string> names;
  const std::string text = read(ASSAY_SOURCE_DIR "/docs/cli.md");
  const std::regex row("\\n\\| `([a-z]+)` \\|");
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at) names.insert((*at)[1]);
  return names;
}

TEST(Docs, EveryCommandIsListedAndHasExamples) {
  const auto names = documented();
  EXPECT_GE(names.size(), 10u);
  const auto help = run("--help");
  ASSERT_EQ(help.exit_code, 0) << help.output;
  for (const std::string& name : names) {
    EXPECT_NE(help.output.find("\n  " + name), std::string::npos) << name << " is documented but not in --help";
    EXPECT_NE(run(name + " --help").output.find("Examples:\n  assay " + name), std::string::npos) << name;
  }
  const std::regex listed("\n  ([a-z]+) +[a-zA-Z]");
  const std::string commands = help.output.substr(help.output.find("Subcommands:"));
  for (std::sregex_iterator at(commands.begin(), commands.end(), listed), end; at != end; ++at)
    EXPECT_TRUE(names.contains((*at)[1])) << (*at)[1] << " is not in docs/cli.md";
}

// The examples of docs/cli.md, in order, in a scratch directory with a store of its own (optimize, resume and download, which needs the
// network, have tests of their own).
TEST(Docs, ExamplesRun) {
  const std::filesystem::path scratch = std::filesystem::path(testing::TempDir()) / "assay-docs";
  std::filesystem::remove_all(scratch);
  std::filesystem::create_directories(scratch);
  std::filesystem::create_directory_symlink(ASSAY_SOURCE_DIR "/demo", scratch / "demo");
  const std::string text = read(ASSAY_SOURCE_DIR "/docs/cli.md");
  const std::regex example("\\| `assay ([a-z]+) ([^`]*)` \\|");
  std::vector<std::pair<std::string, std::string>> lines;
  for (std::sregex_iterator at(text.begin(), text.end(), example), end; at != end; ++at) lines.emplace_back((*at)[1], (*at)[2]);
  // eval needs what quantize writes, plan what score writes.
  std::stable_partition(lines.begin(), lines.end(), [](const auto& line) { return line.first == "quantize"; });
  for (const auto& [command, arguments] : lines) {
    if (command == "optimize" || command == "resume" || command == "download") continue;
    // Built without node (docs/report.md).
    if (command == "report" && !std::filesystem::exists(std::filesystem::path(ASSAY_PROGRAM).parent_path() / "share/report.html")) continue;
    // The examples of passes over the model with shorter windows: what is checked is that the options are right.
    const std::string shorter = command == "imatrix" ? " --chunks 4" : command == "sweep" || command == "score" ? " --ctx 64" : "";
    const auto result = interop::run_shell("cd " + interop::shell_quoted(scratch.string()) + " && ASSAY_CACHE=cache " +
                                           interop::shell_quoted(ASSAY_PROGRAM) + " " + command + " " + arguments + shorter + " --quiet");
    EXPECT_EQ(result.exit_code, 0) << command << " " << arguments << "\n" << result.output;
  }
  std::filesystem::remove_all(scratch);
}

TEST(Cli, ExitCodesSayWhatHappened) {
  EXPECT_EQ(run("").exit_code, 64);
  EXPECT_EQ(run("inspect").exit_code, 64);
  EXPECT_EQ(run("inspect no-such-file.gguf").exit_code, 65);
  EXPECT_EQ(run("inspect README.md").exit_code, 65);
  EXPECT_EQ(run("eval demo/reference-9m --text demo/evaluation.txt --compute deviations --quiet").exit_code, 64);  // for sweep only
  EXPECT_EQ(run("quantize demo/reference-9m --type Q9_Z -o /dev/null").exit_code, 64);
  EXPECT_EQ(run("eval demo/reference-9m --text demo/evaluation.txt --ctx 4096 --quiet").exit_code, 64);  // beyond the model's context
  EXPECT_EQ(run("--version").exit_code, 0);
}

TEST(Cli, EqualRunsGiveEqualJsonExceptRun) {
  const auto strip = [](std::string text) { return text.substr(0, text.find("\"run\"")); };
  const std::string arguments = "eval demo/reference-9m --text demo/evaluation.txt --chunks 2 --quiet --store none --json -";
  const auto first = run(arguments), second = run(arguments + " --threads 1");
  ASSERT_EQ(first.exit_code, 0) << first.output;
  EXPECT_EQ(strip(first.output), strip(second.output));
  EXPECT_NE(first.output.find("\"sha256\""), std::string::npos);
}

}  // namespace
}  // namespace assay
