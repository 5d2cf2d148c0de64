// Where tokens go, where redirects may lead, and how often is tried, with a network that answers as told.
#include "assay/hub/client.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace assay {
namespace {

using namespace std::chrono_literals;

// Replies by address, in order; the last is repeated.
class Network final : public TransferFactory {
 public:
  struct Seen {
    std::string url;
    bool token = false;
  };
  std::map<std::string, std::deque<HttpReply>> replies;
  std::vector<Seen> seen;

  std::unique_ptr<Transfer> open() override { return std::make_unique<Line>(*this); }

 private:
  class Line final : public Transfer {
   public:
    explicit Line(Network& network) : network_(network) {}
    HttpReply get(const HttpRequest& request, HttpSink& sink, const std::function<bool()>&) override {
      bool token = false;
      for (const std::string& header : request.headers) token |= header == "Authorization: Bearer hf_secret";
      network_.seen.push_back({request.url, token});
      auto& queue = network_.replies[request.url];
      if (queue.empty()) return {{404, {}, ""}, TransferEnd::kComplete};
      const HttpReply reply = queue.front();
      if (queue.size() > 1) queue.pop_front();
      constexpr std::string_view kBody = "body";
      if (!sink.begin(reply.head) || !sink.write(std::as_bytes(std::span(kBody)))) return {reply.head, TransferEnd::kStopped};
      return reply;
    }

   private:
    Network& network_;
  };
};

HttpReply status(int code, std::map<std::string, std::string> headers = {}) {
  return {{code, std::move(headers), ""}, TransferEnd::kComplete};
}
HttpReply redirect(const std::string& url) { return {{302, {}, url}, TransferEnd::kComplete}; }

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    settings_.endpoint = "https://hub.example.org";
    settings_.token = "hf_secret";
    settings_.first_wait = 1ms;
  }
  Result<std::string> get(const std::string& path = "/a") {
    HubClient client(settings_, network_, silent_progress());
    return client.text(settings_.endpoint + path, "hub: it", 100);
  }
  // One bit per request: had it the token?
  std::string tokens() const {
    std::string bits;
    for (const auto& seen : network_.seen) bits += seen.token ? '1' : '0';
    return bits;
  }
  HubSettings settings_;
  Network network_;
};

TEST_F(ClientTest, ControlSendsTheTokenToTheHub) {
  network_.replies["https://hub.example.org/a"] = {status(200)};
  EXPECT_EQ(get().value(), "body");
  EXPECT_EQ(tokens(), "1");
}

TEST_F(ClientTest, OtherHostsPortsAndSchemesGetNoToken) {
  for (const std::string target : {"https://cdn.example.org/b", "https://hub.example.org:444/b", "https://hub.example.org.evil.org/b",
                                   "https://evil.org/https://hub.example.org/b"}) {
    network_ = {};
    network_.replies["https://hub.example.org/a"] = {redirect(target)};
    network_.replies[target] = {status(200)};
    EXPECT_EQ(get().value_or("none"), "body") << target;
    EXPECT_EQ(tokens(), "10") << target;
  }
  // The same origin written otherwise is the same origin, also behind another host.
  network_ = {};
  network_.replies["https://hub.example.org/a"] = {redirect("https://cdn.example.org/b")};
  network_.replies["https://cdn.example.org/b"] = {redirect("https://HUB.example.org:443/c")};
  network_.replies["https://HUB.example.org:443/c"] = {status(200)};
  EXPECT_TRUE(get());
  EXPECT_EQ(tokens(), "101");
}

TEST_F(ClientTest, RedirectsThatCouldMislead) {
  for (const std::string target : {"http://hub.example.org/b", "https://hub.example.org@evil.org/b", "https://hub.example.org\\.evil.org/b",
                                   "file:///etc/passwd", "ftp://hub.example.org/b"}) {
    network_ = {};
    network_.replies["https://hub.example.org/a"] = {redirect(target)};
    network_.replies[target] = {status(200)};
    const auto got = get();
    ASSERT_FALSE(got) << target;
    EXPECT_EQ(got.error().code, ErrorCode::kBadInput);
    EXPECT_EQ(network_.seen.size(), 1u) << target;
  }
}

TEST_F(ClientTest, PlainHttpGetsNoTokenExceptOnThisMachine) {
  settings_.endpoint = "http://hub.example.org";
  network_.replies["http://hub.example.org/a"] = {status(401)};
  const auto refused = get();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not sent over plain http"), std::string::npos) << refused.error().message;
  settings_.endpoint = "http://localhost:8080";
  network_.replies["http://localhost:8080/a"] = {status(200)};
  EXPECT_TRUE(get());
  EXPECT_EQ(tokens(), "01");
}

TEST_F(ClientTest, TriesAgainWhatPasses) {
  const HttpReply dropped = {{}, TransferEnd::kConnection, "dropped"};
  network_.replies["https://hub.example.org/a"] = {dropped,     status(429), status(500), status(503, {{"retry-after", "0"}}),
                                                   status(408), status(200)};
  EXPECT_EQ(get().value_or("none"), "body");
  EXPECT_EQ(network_.seen.size(), 6u);
  network_.replies["https://hub.example.org/b"] = {dropped};
  const auto given_up = get("/b");
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().message, "hub: it dropped (https://hub.example.org/b); given up after 6 tries");
  EXPECT_EQ(network_.seen.size(), 12u);
}

TEST_F(ClientTest, DoesNotTryAgainWhatStays) {
  for (const int code : {400, 401, 403, 404, 410, 416, 501}) {
    network_ = {};
    network_.replies["https://hub.example.org/a"] = {status(code)};
    EXPECT_FALSE(get()) << code;
    EXPECT_EQ(network_.seen.size(), 1u) << code;
  }
  network_ = {};
  network_.replies["https://hub.example.org/a"] = {{{}, TransferEnd::kRefused, "no certificate"}};
  EXPECT_FALSE(get());
  EXPECT_EQ(network_.seen.size(), 1u);
}

TEST_F(ClientTest, RefusalsInWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"GatedRepo", "is gated"}, {"RevisionNotFound", "no such revision"}, {"EntryNotFound", "no such file"}, {"RepoNotFound", "misspelt"}};
  for (const auto& [code, words] : cases) {
    network_.replies["https://hub.example.org/a"] = {status(404, {{"x-error-code", code}})};
    const auto got = get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::kNotFound);
    EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
    EXPECT_EQ(got.error().message.find("hf_secret"), std::string::npos);
  }
}

TEST_F(ClientTest, LongAnswersAreRefused) {
  network_.replies["https://hub.example.org/a"] = {status(200)};
  HubClient client(settings_, network_, silent_progress());
  EXPECT_EQ(client.text("https://hub.example.org/a", "hub: it", 3).error().code, ErrorCode::kBadInput);
  EXPECT_TRUE(client.text("https://hub.example.org/a", "hub: it", 4));
}

}  // namespace
}  // namespace assay
