#include "assay/hub/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <thread>

#include "assay/base/text.h"
#include "assay/hub/url.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
constexpr int kMaxRedirects = 10;

// Passes on 2xx replies; the bodies of others are read past.
class SuccessSink final : public HttpSink {
 public:
  explicit SuccessSink(HttpSink& inner) : inner_(inner) {}
  bool begin(const HttpHead& head) override {
    success_ = head.status >= 200 && head.status < 300;
    return !success_ || inner_.begin(head);
  }
  bool write(std::span<const std::byte> bytes) override { return !success_ || inner_.write(bytes); }

 private:
  HttpSink& inner_;
  bool success_ = false;
};

class TextSink final : public HttpSink {
 public:
  explicit TextSink(uint64_t limit) : limit_(limit) {}
  bool begin(const HttpHead&) override {
    text.clear();
    return true;
  }
  bool write(std::span<const std::byte> bytes) override {
    if (text.size() + bytes.size() > limit_) return !(too_long = true);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }
  std::string text;
  bool too_long = false;

 private:
  uint64_t limit_;
};

// Seconds; a date is taken as a minute.
std::chrono::seconds retry_after(const HttpHead& head) {
  const std::string_view value = head.header("retry-after");
  if (value.empty()) return 0s;
  uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  return error == std::errc() ? std::chrono::seconds(seconds) : 60s;
}

bool passes(int status) { return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504; }

// `token`: what is to be said about it.
Error refusal(const HttpHead& head, const std::string& url, const std::string& who, const std::string& token) {
  const std::string code(head.header("x-error-code"));
  const std::string status = std::to_string(head.status);
  if (code == "RevisionNotFound") return make_error(ErrorCode::kNotFound, Complaint{who, "has no such revision", "", ""});
  if (code == "EntryNotFound") return make_error(ErrorCode::kNotFound, Complaint{who, "has no such file", "", shown(url)});
  if (code == "GatedRepo")
    return make_error(ErrorCode::kNotFound, Complaint{who, "is gated", "accept its terms on its page and give a token in HF_TOKEN", ""});
  if (head.status == 401 || head.status == 403 || code == "RepoNotFound") {
    return make_error(ErrorCode::kNotFound,
                      Complaint{who, "is not there, or not for everyone (status " + status + ")", token, "a misspelt name?"});
  }
  if (head.status == 404) return make_error(ErrorCode::kNotFound, Complaint{who, "is not there", shown(url) + " has status 404", ""});
  return make_error(ErrorCode::kIo, Complaint{who, "answers with status " + status, shown(url), ""});
}

}  // namespace

HubClient::HubClient(const HubSettings& settings, TransferFactory& transfers, Progress& progress)
    : settings_(settings), progress_(progress), token_allowed_(false) {
  if (const auto endpoint = parse_url(settings_.endpoint)) {
    origin_ = endpoint->origin();
    token_allowed_ = !settings_.token.empty() && (endpoint->scheme == "https" || endpoint->loopback());
  }
  for (int i = 0; i < std::max(1, settings_.connections); ++i) connections_.push_back(transfers.open());
}

Attempt HubClient::attempt(int connection, const std::string& url, const std::vector<std::string>& headers, HttpSink& sink,
                           const std::string& who, const std::atomic<bool>* stop) {
  Attempt result;
  result.url = url;
  const auto give_up = [&](Attempt::Kind kind, Error error) {
    result.kind = kind;
    result.error = std::move(error);
    return result;
  };
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const auto address = parse_url(result.url);
    if (!address) return give_up(Attempt::Kind::kFatal, make_error(ErrorCode::kBadInput, who + ": " + address.error().message));
    if (address->scheme != "https" && origin_.starts_with("https:"))
      return give_up(Attempt::Kind::kFatal, make_error(ErrorCode::kBadInput, Complaint{who, "is redirected to " + shown(result.url),
                                                                                       "an address with https is needed", ""}));
    HttpRequest request{result.url, headers};
    if (token_allowed_ && address->origin() == origin_) request.headers.push_back("Authorization: Bearer " + settings_.token);
    SuccessSink only_success(sink);
    HttpReply reply = connections_[static_cast<size_t>(connection)]->get(
        request, only_success, [&] { return progress_.interrupted() || (stop != nullptr && stop->load()); });
    result.head = std::move(reply.head);
    switch (reply.end) {
      case TransferEnd::kStopped:
        result.kind = Attempt::Kind::kStopped;
        return result;
      case TransferEnd::kConnection:
        return give_up(Attempt::Kind::kRetry, make_error(ErrorCode::kIo, Complaint{who, reply.reason, "", shown(result.url)}));
      case TransferEnd::kRefused:
        return give_up(Attempt::Kind::kFatal, make_error(ErrorCode::kIo, Complaint{who, reply.reason, "", shown(result.url)}));
      case TransferEnd::kComplete:
        break;
    }
    const int status = result.head.status;
    if (status >= 200 && status < 300) return result;
    if (status >= 300 && status < 400 && !result.head.redirect.empty()) {
      result.url = result.head.redirect;
      continue;
    }
    result.wait = retry_after(result.head);
    const std::string token = settings_.token.empty() ? "give a token in HF_TOKEN if it is private or gated"
                              : token_allowed_        ? "the token given does not open it"
                                                      : "the token is not sent over plain http";
    return give_up(passes(status) ? Attempt::Kind::kRetry : Attempt::Kind::kFatal, refusal(result.head, result.url, who, token));
  }
  return give_up(Attempt::Kind::kFatal, make_error(ErrorCode::kIo, Complaint{who, "is redirected without end", "", shown(url)}));
}

Result<std::string> HubClient::text(const std::string& url, const std::string& who, uint64_t limit, int tries) {
  Patience patience(*this, tries);
  for (;;) {
    TextSink sink(limit);
    const Attempt got = attempt(0, url, {}, sink, who);
    if (got.kind == Attempt::Kind::kDone) return std::move(sink.text);
    if (sink.too_long) return fail(ErrorCode::kBadInput, {who, "answers with more than " + format_bytes(limit), "", shown(url)});
    if (got.kind == Attempt::Kind::kStopped) return fail(ErrorCode::kInterrupted, who + ": interrupted");
    if (got.kind == Attempt::Kind::kFatal) return fail(got.error);
    ASSAY_TRY(patience.wait(got));
  }
}

Patience::Patience(const HubClient& client, int tries)
    : settings_(client.settings()), progress_(client.progress()), tries_(tries > 0 ? tries : std::max(1, settings_.tries)) {}

Status Patience::wait(const Attempt& failed, const std::atomic<bool>* stop) {
  if (++failures_ >= tries_) {
    Error error = failed.error;
    if (tries_ > 1) error.message += fmt::format("; given up after {} tries", tries_);
    return fail(std::move(error));
  }
  if (failed.wait > settings_.longest_wait)
    return fail(ErrorCode::kIo, fmt::format("{}; asks to wait {} s, at most {} s are waited", failed.error.message, failed.wait.count(),
                                            settings_.longest_wait.count()));
  // Several connections that failed together should not come back together.
  static thread_local std::minstd_rand random(std::random_device{}());
  auto pause = settings_.first_wait * (int64_t{1} << std::min(failures_ - 1, 10));
  pause = std::min<std::chrono::milliseconds>(pause, 30s) * (1000 + static_cast<int>(random() % 250)) / 1000;
  pause = std::max<std::chrono::milliseconds>(pause, failed.wait);
  if (failures_ > 1 || pause >= 5s) progress_.log(fmt::format("{}; next try in {} s", failed.error.message, (pause.count() + 999) / 1000));
  const auto until = std::chrono::steady_clock::now() + pause;
  while (std::chrono::steady_clock::now() < until) {
    if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "interrupted while waiting for the hub");
    if (stop != nullptr && stop->load()) return fail(ErrorCode::kInterrupted, "stopped");
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(20ms, until - std::chrono::steady_clock::now()));
  }
  return {};
}

}  // namespace assay
