// The program killed in the middle goes on where it was; two at once fetch a file once.
#include <chrono>
#include <random>
#include <thread>

#include "tests/hub/local_hub.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using hub_test::HubTest;
using hub_test::kCommit;
using hub_test::slurp;

class FetchCrashTest : public HubTest {
 protected:
  pid_t start() const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::setenv("HF_ENDPOINT", hub_->endpoint().c_str(), 1);
    ::setenv("HF_HUB_CACHE", cache().c_str(), 1);
    ::unsetenv("HF_TOKEN");
    if (std::freopen((scratch_ / "output").c_str(), "a", stderr) == nullptr) ::_exit(126);
    ::execl(ASSAY_PROGRAM, ASSAY_PROGRAM, "download", "owner/model-GGUF:Q4_K_M", "--part-size", "100KB", "--json",
            (scratch_ / "result.json").c_str(), "--force", "--quiet", nullptr);
    ::_exit(127);
  }
  // Exit code, or 128 + signal.
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string named() const { return (repository() / "snapshots" / kCommit / "model-Q4_K_M.gguf").string(); }
};

TEST_F(FetchCrashTest, GoesOnAfterKillAtAnyMoment) {
  serve({"slow=300000"});  // about a second over four connections
  std::minstd_rand random(7);
  int kills = 0;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const pid_t child = start();
    std::this_thread::sleep_for(std::chrono::milliseconds(30 + random() % 200));
    ::kill(child, SIGKILL);
    const int code = wait_for(child);
    EXPECT_TRUE(!fs::exists(named()) || slurp(named()) == large_) << "half a file under its name";
    if (code == 0) break;
    ASSERT_EQ(code, 128 + SIGKILL) << slurp(scratch_ / "output");
    ++kills;
  }
  EXPECT_GE(kills, 2);
  EXPECT_EQ(wait_for(start()), 0) << slurp(scratch_ / "output");
  EXPECT_TRUE(slurp(named()) == large_);
  EXPECT_EQ(files_in(repository() / "blobs"), std::vector<std::string>{sha256_hex(large_)});
}

TEST_F(FetchCrashTest, TheNextRunFetchesOnlyTheRest) {
  serve({"slow=300000"});
  const pid_t child = start();
  const fs::path part = repository() / "blobs" / (sha256_hex(large_) + ".assay-part");
  for (int i = 0; i < 500 && hub_->content_requests() < 9; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(child, SIGKILL);
  ASSERT_EQ(wait_for(child), 128 + SIGKILL) << slurp(scratch_ / "output");
  ASSERT_TRUE(fs::exists(part));
  ASSERT_EQ(wait_for(start()), 0) << slurp(scratch_ / "output");
  EXPECT_TRUE(slurp(named()) == large_);
  const auto result = nlohmann::json::parse(slurp(scratch_ / "result.json"));
  // Nine requests were made, so at least five parts were whole.
  EXPECT_LE(result["run"]["bytes_fetched"].get<uint64_t>(), large_.size() - 500'000);
  EXPECT_GT(result["run"]["bytes_fetched"].get<uint64_t>(), 0u);
}

TEST_F(FetchCrashTest, TwoAtOnceFetchItOnce) {
  serve({"slow=300000"});
  const pid_t first = start(), second = start();
  EXPECT_EQ(wait_for(first), 0) << slurp(scratch_ / "output");
  EXPECT_EQ(wait_for(second), 0) << slurp(scratch_ / "output");
  EXPECT_TRUE(slurp(named()) == large_);
  EXPECT_EQ(hub_->content_requests(), 13u);
}

}  // namespace
}  // namespace assay
