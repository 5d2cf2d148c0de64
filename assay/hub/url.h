// Web addresses, read strictly: what two readers could understand differently is refused, because a token may follow from it.
// Non-goals: everything but http and https.
#pragma once

#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case
  std::string port;    // "443" where none is given
  std::string path;    // with its slash, without query; "" if there is none

  // Equal origins may see the same token.
  std::string origin() const { return scheme + "://" + host + ":" + port; }
  bool loopback() const;
};

// Refused (kBadInput): user names, white space, control characters, back-slashes, other schemes.
Result<Url> parse_url(std::string_view text);
// The address without its query: signatures are not for messages.
std::string shown(std::string_view url);
// "a b/c" -> "a%20b/c": everything but unreserved characters and slashes.
std::string percent_encoded_path(std::string_view path);

}  // namespace assay
