// A hub on this machine for tests: repositories as directories, served by hub_server.py with the faults a test asks for.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assay/base/sha256.h"
#include "assay/hub/fetch.h"
#include "assay/hub/transfer.h"

namespace assay::hub_test {

namespace fs = std::filesystem;

inline constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

// Bytes that repeat nowhere, so that a part at a wrong place shows.
inline std::string noise(size_t bytes, uint64_t seed) {
  std::string text(bytes, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15 + 1;
  for (char& c : text) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return text;
}

inline std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A server for as long as it lives.
class LocalHub {
 public:
  LocalHub(const fs::path& root, const fs::path& log, const std::vector<std::string>& faults) : log_(log) {
    int to_server[2], from_server[2];
    if (::pipe2(to_server, O_CLOEXEC) != 0 || ::pipe2(from_server, O_CLOEXEC) != 0) return;
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(to_server[0], 0);
      ::dup2(from_server[1], 1);
      std::vector<std::string> words = {"python3", ASSAY_SOURCE_DIR "/tests/hub/hub_server.py", root.string(), log.string()};
      words.insert(words.end(), faults.begin(), faults.end());
      std::vector<char*> pointers;
      for (std::string& word : words) pointers.push_back(word.data());
      pointers.push_back(nullptr);
      ::execvp("python3", pointers.data());
      ::_exit(127);
    }
    ::close(to_server[0]);
    ::close(from_server[1]);
    stdin_ = to_server[1];
    FILE* output = ::fdopen(from_server[0], "r");
    if (std::fscanf(output, "%d", &port_) != 1) ADD_FAILURE() << "tests/hub/hub_server.py does not start";
    std::fclose(output);
  }
  LocalHub(const LocalHub&) = delete;
  LocalHub& operator=(const LocalHub&) = delete;
  ~LocalHub() {
    ::close(stdin_);
    if (child_ > 0) ::kill(child_, SIGTERM), ::waitpid(child_, nullptr, 0);
  }

  int port() const { return port_; }
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Requests so far: {method, path, headers}.
  std::vector<nlohmann::json> requests() const {
    std::vector<nlohmann::json> all;
    std::ifstream file(log_);
    for (std::string line; std::getline(file, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  // GET requests for the bytes of large files.
  size_t content_requests() const {
    size_t count = 0;
    for (const auto& request : requests()) count += request["method"] == "GET" && request["path"].get<std::string>().starts_with("/cdn/");
    return count;
  }

 private:
  fs::path log_;
  pid_t child_ = -1;
  int stdin_ = -1, port_ = 0;
};

// A directory with repositories, a cache and a log; servers are started on it.
class HubTest : public testing::Test {
 protected:
  void SetUp() override {
    scratch_ = fs::path(testing::TempDir()) /
               ("assay-hub-" + std::to_string(::getpid()) + "-" + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(scratch_);
    fs::create_directories(scratch_ / "served");
    for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
    add("models/owner/model-GGUF/model-Q4_K_M.gguf", large_);
    add("models/owner/model-GGUF/README.md", "# a model\n");
  }
  void TearDown() override { fs::remove_all(scratch_); }

  void add(const std::string& path, const std::string& bytes) const {
    const fs::path file = scratch_ / "served" / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
  }
  // The server that the following fetches ask.
  LocalHub& serve(const std::vector<std::string>& faults = {}) {
    hub_.reset();
    fs::remove(scratch_ / "log");
    hub_ = std::make_unique<LocalHub>(scratch_ / "served", scratch_ / "log", faults);
    settings_.endpoint = hub_->endpoint();
    settings_.cache = cache().string();
    settings_.part_bytes = 100'000;
    settings_.first_wait = std::chrono::milliseconds(1);
    return *hub_;
  }
  fs::path cache() const { return scratch_ / "cache"; }
  fs::path repository() const { return cache() / "models--owner--model-GGUF"; }

  static FetchRequest request(const std::string& repository = "owner/model-GGUF", const std::string& type = "Q4_K_M") {
    FetchRequest request;
    request.repository = *parse_repository_id(repository);
    request.type = type;
    return request;
  }
  Result<FetchResult> get(const FetchRequest& request, Progress& progress = silent_progress()) const {
    return fetch(request, settings_, [] { return Result<TransferFactory*>(assay_transfers()); }, progress);
  }
  // The large file is there, whole, under its name, and nothing half-made is left.
  void expect_whole(const Result<FetchResult>& fetched) const {
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->path, (repository() / "snapshots" / kCommit / "model-Q4_K_M.gguf").string());
    EXPECT_TRUE(slurp(fetched->path) == large_);
    EXPECT_EQ(files_in(repository() / "blobs"), std::vector<std::string>{sha256_hex(large_)});
  }
  // No file of the listing has got a name.
  void expect_nothing_named() const {
    EXPECT_FALSE(fs::exists(repository() / "blobs" / sha256_hex(large_)));
    EXPECT_EQ(files_in(repository() / "snapshots"), std::vector<std::string>{});
    EXPECT_FALSE(fs::exists(repository() / "refs" / "main"));
  }
  static std::vector<std::string> files_in(const fs::path& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
      if (!at->is_directory()) names.push_back(at->path().lexically_relative(directory).string());
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path scratch_;
  const std::string large_ = noise(1'234'567, 1);
  HubSettings settings_;
  std::unique_ptr<LocalHub> hub_;
};

}  // namespace assay::hub_test
