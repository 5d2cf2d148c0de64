// The program as a process that can be killed, for the tests of what a kill leaves behind.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace assay::killed_program {

// Starts `assay` and returns its process id.
inline pid_t start(std::vector<std::string> arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  arguments.insert(arguments.begin(), ASSAY_PROGRAM);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(ASSAY_PROGRAM, pointers.data());
  _exit(127);
}

// The exit code, or 128 + the signal.
inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline std::string bytes_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace assay::killed_program
