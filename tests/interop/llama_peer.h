// Runs the peer program (llama_peer.cpp) and hands back its JSON. Interop tests skip, with a clear line, where no llama.cpp
// library was fetched (scripts/peer.sh). The library's directory: $ASSAY_LLAMA_LIB, else where peer.sh puts it.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/interop/python.h"

namespace assay::interop {

// The directory that holds libllama*.so*; empty if there is none.
inline std::string llama_directory() {
  if (const char* given = std::getenv("ASSAY_LLAMA_LIB")) return given;
#ifdef __aarch64__
  constexpr const char* kPlatform = "linux-arm64";
#else
  constexpr const char* kPlatform = "linux-x64";
#endif
  std::error_code error;
  const std::filesystem::path root = std::filesystem::path(ASSAY_SOURCE_DIR) / ".deps/peer/node_modules/@node-llama-cpp" / kPlatform;
  for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error))
    if (const std::string name = at->path().filename(); name.starts_with("libllama.")) return at->path().parent_path();
  return {};
}

// What a test prints when it skips.
inline constexpr const char* kNoLlama = "no llama.cpp library: run scripts/peer.sh or set ASSAY_LLAMA_LIB to its directory";

struct PeerAnswer {
  int status = -1;        // exit code; 0: done
  nlohmann::json result;  // the line of JSON; holds "error" when status is not 0
};

// Runs `llama_peer DIR arguments...`; the library's log is dropped.
inline PeerAnswer run_llama_peer(const std::vector<std::string>& arguments) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "llama_peer";
  std::string command = shell_quoted(program.string()) + " " + shell_quoted(llama_directory());
  for (const std::string& argument : arguments) command += " " + shell_quoted(argument);
  command += " 2>/dev/null";
  PeerAnswer answer;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return answer;
  std::string output;
  std::array<char, 4096> buffer;
  for (size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), got);
  const int status = pclose(pipe);
  answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  answer.result = nlohmann::json::parse(output.substr(output.rfind('\n', output.size() - 2) + 1), nullptr, false);
  return answer;
}

}  // namespace assay::interop
