// Runs the program as a user does, for tests of the command line.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/interop/python.h"

namespace assay::cli_test {

// `assay ARGUMENTS` in the repository's root; standard output and error together. `input`: shell words before it, e.g. "printf x |".
inline interop::PythonRun run(const std::string& arguments, const std::string& input = "") {
  return interop::run_shell("cd " + interop::shell_quoted(ASSAY_SOURCE_DIR) + " && " + input + " " + interop::shell_quoted(ASSAY_PROGRAM) +
                            " " + arguments);
}

// The `result` of `assay ARGUMENTS --quiet --json -`; a failed run fails the test.
inline nlohmann::json result(const std::string& arguments, const std::string& input = "") {
  const auto done = run(arguments + " --quiet --json -", input);
  EXPECT_EQ(done.exit_code, 0) << arguments << "\n" << done.output;
  const auto envelope = nlohmann::json::parse(done.output, nullptr, false);
  EXPECT_TRUE(envelope.is_object() && envelope.contains("result")) << done.output;
  return envelope.is_object() ? envelope.value("result", nlohmann::json::object()) : nlohmann::json::object();
}

// An empty directory of the test's own.
inline std::filesystem::path scratch(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / ("assay-cli-" + name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace assay::cli_test
