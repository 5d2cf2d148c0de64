// Runs a Python script of tests/interop with the pinned reference packages, for tests that compare with them.
// Non-goals: embedding Python; anything outside tests.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace assay::interop {

struct PythonRun {
  int exit_code = -1;
  std::string output;  // stdout and stderr together
};

inline std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

inline PythonRun run_shell(const std::string& command) {
  PythonRun run;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return run;
  std::array<char, 4096> piece;
  while (const size_t got = std::fread(piece.data(), 1, piece.size(), pipe)) run.output.append(piece.data(), got);
  const int status = ::pclose(pipe);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

// The python that has `packages` (names known to scripts/interop_env.sh); empty, with a test failure, if it cannot be made.
inline std::string python_with(const std::vector<std::string>& packages) {
  std::string command = shell_quoted(std::string(ASSAY_SOURCE_DIR) + "/scripts/interop_env.sh");
  for (const std::string& package : packages) command += " " + shell_quoted(package);
  const PythonRun run = run_shell(command);
  std::string path = run.output;
  while (!path.empty() && path.back() == '\n') path.pop_back();
  path.erase(0, path.rfind('\n') + 1);  // pip may have warned before
  if (run.exit_code == 0) return path;
  ADD_FAILURE() << "scripts/interop_env.sh failed with " << run.exit_code << ":\n" << run.output;
  return {};
}

// Runs tests/interop/<script> with `arguments`.
inline PythonRun run_python(const std::vector<std::string>& packages, const std::string& script,
                            const std::vector<std::string>& arguments) {
  const std::string python = python_with(packages);
  if (python.empty()) return {};
  std::string command = shell_quoted(python) + " " + shell_quoted(std::string(ASSAY_SOURCE_DIR) + "/tests/interop/" + script);
  for (const std::string& argument : arguments) command += " " + shell_quoted(argument);
  return run_shell(command);
}

}  // namespace assay::interop
