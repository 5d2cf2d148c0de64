#include "assay/hub/url.h"

#include <fmt/format.h>

#include "assay/base/text.h"

namespace assay {
namespace {

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

tl::unexpected<Error> refused(std::string_view text, const std::string& found) {
  return fail(ErrorCode::kBadInput, {"address '" + shown(text) + "'", found, "http://HOST or https://HOST is needed", ""});
}

}  // namespace

bool Url::loopback() const {
  return host == "localhost" || host == "[::1]" || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

Result<Url> parse_url(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '\\') return refused(text, "holds white space or a back-slash");
  }
  Url url;
  const size_t colon = text.find("://");
  url.scheme = lower_ascii(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  if (url.scheme != "http" && url.scheme != "https") return refused(text, "is neither http nor https");
  std::string_view rest = text.substr(colon + 3);
  const size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  const size_t port = authority.rfind(':');
  const bool has_port = port != std::string_view::npos && authority.find(']', port) == std::string_view::npos;
  url.host = lower_ascii(authority.substr(0, has_port ? port : authority.size()));
  url.port = has_port ? std::string(authority.substr(port + 1)) : url.scheme == "https" ? "443" : "80";
  const bool numeric = url.host.starts_with('[') && url.host.ends_with(']');
  for (const char c : url.host) {
    if (!is_alphanumeric(c) && c != '.' && c != '-' && c != '_' && !(numeric && (c == ':' || c == '[' || c == ']')))
      return refused(text, "has a host with other characters than letters, digits, '.' and '-'");
  }
  if (url.host.empty() || url.port.empty() || url.port.size() > 5 || url.port.find_first_not_of("0123456789") != std::string::npos)
    return refused(text, "has no host, or a port that is none");
  if (end != std::string_view::npos && rest[end] == '/') url.path = rest.substr(end, rest.find_first_of("?#", end) - end);
  return url;
}

std::string shown(std::string_view url) {
  std::string text(url.substr(0, url.find_first_of("?#")));
  const size_t host = text.find("://");
  const size_t begin = host == std::string::npos ? 0 : host + 3;
  const size_t slash = text.find('/', begin);
  const size_t at = text.rfind('@', slash);  // a name and password before the host
  if (at != std::string::npos && at >= begin) text.erase(begin, at + 1 - begin);
  return printable(text, 200);
}

std::string percent_encoded_path(std::string_view path) {
  std::string encoded;
  for (const char c : path) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '/')
      encoded += c;
    else
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace assay
