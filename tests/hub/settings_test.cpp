// The environment's names, as huggingface_hub reads them.
#include "assay/hub/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace assay {
namespace {

class HubSettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
    }
    home_ = std::filesystem::path(testing::TempDir()) / "assay-hub-settings";
    std::filesystem::remove_all(home_);
    std::filesystem::create_directories(home_);
    ::setenv("HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : kNames) before_.contains(name) ? ::setenv(name, before_[name].c_str(), 1) : ::unsetenv(name);
    std::filesystem::remove_all(home_);
  }
  static HubSettings read() {
    const auto settings = hub_settings_from_environment();
    EXPECT_TRUE(settings) << settings.error().message;
    return settings.value_or(HubSettings{});
  }

  static constexpr const char* kNames[] = {"HOME",
                                           "XDG_CACHE_HOME",
                                           "HF_HOME",
                                           "HF_HUB_CACHE",
                                           "HF_TOKEN",
                                           "HF_TOKEN_PATH",
                                           "HF_ENDPOINT",
                                           "HUGGINGFACE_HUB_CACHE",
                                           "HF_HUB_OFFLINE",
                                           "TRANSFORMERS_OFFLINE",
                                           "HUGGING_FACE_HUB_TOKEN",
                                           "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
  std::map<std::string, std::string> before_;
  std::filesystem::path home_;
};

TEST_F(HubSettingsTest, TheCacheIsWhereHuggingfaceHubLooks) {
  EXPECT_EQ(read().cache, home_.string() + "/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(read().cache, "/x/huggingface/hub");
  ::setenv("HF_HOME", "~/hf", 1);
  EXPECT_EQ(read().cache, home_.string() + "/hf/hub");
  ::setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
  EXPECT_EQ(read().cache, "/old");
  ::setenv("HF_HUB_CACHE", "/new", 1);
  EXPECT_EQ(read().cache, "/new");
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) ::unsetenv(name);
  EXPECT_FALSE(hub_settings_from_environment());
}

TEST_F(HubSettingsTest, TheTokenFromTheVariableThenTheFile) {
  EXPECT_EQ(read().token, "");
  std::filesystem::create_directories(home_ / ".cache/huggingface");
  std::ofstream(home_ / ".cache/huggingface/token") << "hf_file\n";
  EXPECT_EQ(read().token, "hf_file");
  std::ofstream(home_ / "named") << "hf_named";
  ::setenv("HF_TOKEN_PATH", (home_ / "named").c_str(), 1);
  EXPECT_EQ(read().token, "hf_named");
  ::setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
  EXPECT_EQ(read().token, "hf_old");
  ::setenv("HF_TOKEN", " hf_variable\n", 1);
  EXPECT_EQ(read().token, "hf_variable");
  ::setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
  EXPECT_EQ(read().token, "");
}

TEST_F(HubSettingsTest, ATokenThatCouldBreakAHeaderIsRefusedAndNotQuoted) {
  ::setenv("HF_TOKEN", "hf_one\r\nX-Evil: 1", 1);
  const auto settings = hub_settings_from_environment();
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().code, ErrorCode::kUsage);
  EXPECT_EQ(settings.error().message.find("hf_one"), std::string::npos) << settings.error().message;
}

TEST_F(HubSettingsTest, EndpointAndOffline) {
  EXPECT_EQ(read().endpoint, "https://huggingface.co");
  EXPECT_FALSE(read().offline);
  ::setenv("HF_ENDPOINT", "https://mirror.example.org/hub/", 1);
  for (const char* on : {"1", "ON", "Yes", "true"}) {
    ::setenv("HF_HUB_OFFLINE", on, 1);
    EXPECT_TRUE(read().offline) << on;
  }
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  EXPECT_FALSE(read().offline);
  EXPECT_EQ(read().endpoint, "https://mirror.example.org/hub");
  ::setenv("HF_ENDPOINT", "mirror.example.org", 1);
  EXPECT_FALSE(hub_settings_from_environment());
}

}  // namespace
}  // namespace assay
