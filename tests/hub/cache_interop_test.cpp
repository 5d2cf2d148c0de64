// The cache is huggingface_hub's: what it fetched is found by us, and what we fetched by it, through the same server.
#include <future>
#include <thread>

#include "tests/hub/local_hub.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

using hub_test::HubTest;
using hub_test::kCommit;
using hub_test::slurp;

class CacheInteropTest : public HubTest {
 protected:
  // Its last line; a failure fails the test.
  std::string huggingface_hub(const std::string& action) const {
    const auto run = interop::run_shell(interop::shell_quoted(python_) + " " ASSAY_SOURCE_DIR "/tests/hub/huggingface_hub_client.py " +
                                        hub_->endpoint() + " " + interop::shell_quoted(cache().string()) + " " + action);
    EXPECT_EQ(run.exit_code, 0) << run.output;
    std::string text = run.output;
    while (text.ends_with('\n')) text.pop_back();
    return text.substr(text.rfind('\n') + 1);
  }
  void expect_found(const Result<FetchResult>& fetched, const std::string& snapshot) const {
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->path, snapshot + "/model-Q4_K_M.gguf");
    EXPECT_TRUE(slurp(fetched->path) == large_);
  }
  const std::string python_ = interop::python_with({"huggingface_hub"});
};

TEST_F(CacheInteropTest, ItFindsWhatWeFetched) {
  serve();
  FetchRequest wanted = request();
  wanted.type.clear();
  wanted.patterns = {"*"};
  const auto fetched = get(wanted);
  ASSERT_TRUE(fetched) << fetched.error().message;
  const std::string file = fetched->path + "/model-Q4_K_M.gguf";
  EXPECT_EQ(huggingface_hub("find"), file);
  const size_t asked = hub_->content_requests();
  EXPECT_EQ(huggingface_hub("fetch"), fetched->path);
  EXPECT_EQ(hub_->content_requests(), asked) << "it fetched again what we had";
  EXPECT_EQ(huggingface_hub("scan"),
            "owner/model-GGUF model " + std::string(kCommit) + " ['main'] " + std::to_string(large_.size() + 10) + " 2");
}

TEST_F(CacheInteropTest, WeFindWhatItFetched) {
  serve();
  const std::string snapshot = huggingface_hub("fetch");
  const size_t asked = hub_->content_requests();
  EXPECT_GT(asked, 0u);
  const auto fetched = get(request());
  expect_found(fetched, snapshot);
  settings_.offline = true;
  expect_found(get(request()), snapshot);
  EXPECT_EQ(hub_->content_requests(), asked) << "we fetched again what it had";
}

// Both hold the same lock while a file is made.
TEST_F(CacheInteropTest, BothAtOnceFetchAFileOnce) {
  serve({"slow=1000000"});
  settings_.part_bytes = 10'000'000;  // one request, as it makes
  auto other = std::async(std::launch::async, [this] { return huggingface_hub("fetch"); });
  for (int i = 0; i < 1000 && hub_->content_requests() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto fetched = get(request());
  const std::string snapshot = other.get();
  expect_found(fetched, snapshot);
  EXPECT_EQ(hub_->content_requests(), 1u);
}

}  // namespace
}  // namespace assay
