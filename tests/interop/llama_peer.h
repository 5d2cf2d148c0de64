// Runs the peer program (llama_peer.cpp) and hands back its JSON.
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

// The directory that holds libllama*.so*: $ASSAY_LLAMA_LIB, or what scripts/peer.sh prints, which fetches it once. Empty, with a test
// failure, if it cannot be had: a comparison that did not happen is not a passed one.
inline const std::string& llama_directory() {
  static const std::string directory = [] {
    if (const char* given = std::getenv("ASSAY_LLAMA_LIB")) return std::string(given);
    const PythonRun run = run_shell(shell_quoted(std::string(ASSAY_SOURCE_DIR) + "/scripts/peer.sh"));
    std::string path = run.output;
    while (!path.empty() && path.back() == '\n') path.pop_back();
    path.erase(0, path.rfind('\n') + 1);  // npm may have warned before
    if (run.exit_code == 0 && std::filesystem::is_directory(path)) return path;
    ADD_FAILURE() << "scripts/peer.sh failed with " << run.exit_code << ":\n" << run.output;
    return std::string();
  }();
  return directory;
}

// What a test prints when it stops for want of the library.
inline constexpr const char* kNoLlama = "no llama.cpp library: scripts/peer.sh could not fetch one, and $ASSAY_LLAMA_LIB names none";

// A text without the separators that our tokenizer reads as special tokens and the peer does not.
inline std::string without_separators(std::string text) {
  const std::string mark = "<|endoftext|>";
  for (size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

struct PeerAnswer {
  int status = -1;        // exit code; 0: done
  nlohmann::json result;  // the line of JSON; holds "error" when status is not 0
};

// Runs `llama_peer DIR arguments... --threads 1`; the library's log is dropped. One thread: the library's threads wait for each other
// spinning, which costs several times the work where other tests share the cores; its numbers do not depend on how many there are.
inline PeerAnswer run_llama_peer(const std::vector<std::string>& arguments) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "llama_peer";
  std::string command = shell_quoted(program.string()) + " " + shell_quoted(llama_directory());
  for (const std::string& argument : arguments) command += " " + shell_quoted(argument);
  command += " --threads 1 2>/dev/null";
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

// llama.cpp's perplexity of a file on the first chunks of a text; 0, with a test failure, where it has none.
inline double peer_perplexity(const std::string& model, const std::string& text, int chunks) {
  const PeerAnswer answer = run_llama_peer({"perplexity", model, text, "--chunks", std::to_string(chunks)});
  EXPECT_EQ(answer.status, 0) << model << ": " << answer.result.dump();
  return answer.status == 0 ? answer.result.at("ppl").get<double>() : 0;
}

}  // namespace assay::interop
