// One HTTP request, one reply: what the hub needs of a network library, so that tests can put faults in its place.
// The implementation on libcurl is a library of its own (transfer_curl.cpp), opened only by commands that fetch something.
// Non-goals: redirects, retries, tokens (client.h decides those), uploads, cookies.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct HttpRequest {
  std::string url;                        // http or https
  std::vector<std::string> headers = {};  // "Name: value"
};

// Status and headers of the final reply (1xx and a proxy's own are left out).
struct HttpHead {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string redirect;                        // absolute address a 3xx points to; else empty

  // The header's value, or nothing.
  std::string_view header(const std::string& name) const;
};

// Takes the reply as it arrives. Returning false ends the transfer (TransferEnd::kStopped).
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  virtual bool begin(const HttpHead& head) = 0;
  virtual bool write(std::span<const std::byte> bytes) = 0;
};

enum class TransferEnd {
  kComplete,    // as many bytes as the reply promised
  kStopped,     // the sink or `stop` wanted no more
  kConnection,  // not reached, dropped, stalled, or shorter than promised: worth another try
  kRefused,     // no certificate to trust, no such protocol, no address: trying again changes nothing
};

struct HttpReply {
  HttpHead head;
  TransferEnd end = TransferEnd::kComplete;
  std::string reason = {};  // why not kComplete; never holds a token, a proxy's password or the query of an address
};

// A connection that is kept open between requests. One thread at a time.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // `stop` is asked several times a second.
  virtual HttpReply get(const HttpRequest& request, HttpSink& sink, const std::function<bool()>& stop) = 0;
};

class TransferFactory {
 public:
  virtual ~TransferFactory() = default;
  virtual std::unique_ptr<Transfer> open() = 0;
};

}  // namespace assay

// The transfer library's only entry point.
extern "C" assay::TransferFactory* assay_transfers();
