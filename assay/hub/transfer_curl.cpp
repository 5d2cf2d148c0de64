// Transfer on libcurl: a library of its own, so that commands which fetch nothing do not load it.
#include <curl/curl.h>

#include <array>
#include <cstdlib>
#include <mutex>

#include "assay/base/text.h"
#include "assay/hub/transfer.h"

namespace assay {
namespace {

constexpr long kConnectSeconds = 20;
constexpr long kStallSeconds = 30;  // without a byte: the connection is given up
constexpr long kBufferBytes = 256 << 10;

// A proxy or a company may bring its own certificates; the names other tools know.
const char* certificate_file() {
  for (const char* name : {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return nullptr;
}

TransferEnd end_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return TransferEnd::kComplete;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_OUT_OF_MEMORY:
      return TransferEnd::kRefused;
    default:
      return TransferEnd::kConnection;
  }
}

class CurlTransfer final : public Transfer {
 public:
  CurlTransfer() : handle_(curl_easy_init()) {}
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;
  ~CurlTransfer() override { curl_easy_cleanup(handle_); }

  HttpReply get(const HttpRequest& request, HttpSink& sink, const std::function<bool()>& stop) override {
    HttpReply reply;
    if (handle_ == nullptr) return {{}, TransferEnd::kRefused, "libcurl cannot start"};
    reply_ = &reply;
    sink_ = &sink;
    stop_ = &stop;
    stopped_ = begun_ = false;
    curl_easy_reset(handle_);  // keeps open connections
    curl_slist* headers = nullptr;
    for (const std::string& line : request.headers) headers = curl_slist_append(headers, line.c_str());
    headers = curl_slist_append(headers, "Accept-Encoding: identity");
    std::array<char, CURL_ERROR_SIZE> details{};
    set_options(request, headers, details.data());
    const CURLcode code = curl_easy_perform(handle_);
    curl_slist_free_all(headers);
    if (stopped_ || code == CURLE_ABORTED_BY_CALLBACK) {
      reply.end = TransferEnd::kStopped;
    } else if (code != CURLE_OK) {
      reply.end = end_of(code);
      reply.reason = "cannot be fetched: " + printable(details[0] != '\0' ? details.data() : curl_easy_strerror(code), 200);
    } else if (char* target = nullptr; curl_easy_getinfo(handle_, CURLINFO_REDIRECT_URL, &target) == CURLE_OK && target != nullptr) {
      reply.head.redirect = target;
    }
    return reply;
  }

 private:
  void set_options(const HttpRequest& request, curl_slist* headers, char* details) {
    curl_easy_setopt(handle_, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, details);
    curl_easy_setopt(handle_, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle_, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle_, CURLOPT_USERAGENT, "assay/" ASSAY_VERSION);
    curl_easy_setopt(handle_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(handle_, CURLOPT_NOSIGNAL, 1L);  // several threads
    curl_easy_setopt(handle_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(handle_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    curl_easy_setopt(handle_, CURLOPT_BUFFERSIZE, kBufferBytes);
    if (const char* file = certificate_file()) curl_easy_setopt(handle_, CURLOPT_CAINFO, file);
    curl_easy_setopt(handle_, CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
    curl_easy_setopt(handle_, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, &CurlTransfer::on_body);
    curl_easy_setopt(handle_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(handle_, CURLOPT_XFERINFOFUNCTION, &CurlTransfer::on_progress);
    curl_easy_setopt(handle_, CURLOPT_XFERINFODATA, this);
    curl_easy_setopt(handle_, CURLOPT_NOPROGRESS, 0L);
  }

  // Called per line; an empty line ends a block. Blocks of 1xx replies come before the one that counts.
  static size_t on_header(char* data, size_t, size_t length, void* user) {
    auto& self = *static_cast<CurlTransfer*>(user);
    HttpHead& head = self.reply_->head;
    std::string_view line(data, length);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      long status = 0;
      curl_easy_getinfo(self.handle_, CURLINFO_RESPONSE_CODE, &status);
      head.headers.clear();
      head.status = static_cast<int>(status);
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
      head.headers[lower_ascii(line.substr(0, colon))] = value;
    } else if (line.empty() && head.status >= 200 && !self.begun_) {
      self.begun_ = true;
      self.stopped_ = !self.sink_->begin(head);
      if (self.stopped_) return 0;
    }
    return length;
  }

  static size_t on_body(char* data, size_t, size_t length, void* user) {
    auto& self = *static_cast<CurlTransfer*>(user);
    self.stopped_ = !self.sink_->write(std::as_bytes(std::span(data, length)));
    return self.stopped_ ? 0 : length;
  }

  static int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return (*static_cast<CurlTransfer*>(user)->stop_)() ? 1 : 0;
  }

  CURL* handle_;
  HttpReply* reply_ = nullptr;
  HttpSink* sink_ = nullptr;
  const std::function<bool()>* stop_ = nullptr;
  bool stopped_ = false, begun_ = false;
};

class CurlFactory final : public TransferFactory {
 public:
  std::unique_ptr<Transfer> open() override {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    return std::make_unique<CurlTransfer>();
  }
};

}  // namespace
}  // namespace assay

extern "C" assay::TransferFactory* assay_transfers() {
  static assay::CurlFactory factory;
  return &factory;
}
