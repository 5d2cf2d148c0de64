#include "assay/hub/settings.h"

#include <cstdlib>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/hub/url.h"

namespace assay {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// 1, on, yes, true in any case.
bool is_on(const char* name) {
  const std::string value = lower_ascii(variable(name));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

std::string with_home(const std::string& path) { return path == "~" || path.starts_with("~/") ? variable("HOME") + path.substr(1) : path; }

// huggingface_hub's home directory; empty if there is none.
std::string hub_home() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return with_home(home);
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return with_home(cache) + "/huggingface";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/huggingface";
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

Result<std::string> find_token(const std::string& home) {
  if (is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return std::string();
  std::string token = trimmed(variable("HF_TOKEN")), source = "HF_TOKEN";
  if (token.empty()) {
    token = trimmed(variable("HUGGING_FACE_HUB_TOKEN"));
    source = "HUGGING_FACE_HUB_TOKEN";
  }
  if (token.empty()) {
    const std::string named = with_home(variable("HF_TOKEN_PATH"));
    source = !named.empty() ? named : home.empty() ? "" : home + "/token";
    if (source.empty()) return token;
    constexpr uint64_t kMaxBytes = 4096;
    const auto text = read_text_file(source, kMaxBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) return token;
    if (!text) return fail(ErrorCode::kUsage, {"hub: token file " + source, "cannot be read", text.error().message, ""});
    token = trimmed(*text);
  }
  // It becomes part of a header line.
  for (const char c : token) {
    if (c <= 0x20 || c >= 0x7F)
      return fail(ErrorCode::kUsage,
                  {"hub: the token in " + source, "holds white space or characters beyond ASCII", "one token is needed", "two lines?"});
  }
  return token;
}

}  // namespace

Result<HubSettings> hub_settings_from_environment() {
  HubSettings settings;
  if (const std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) settings.endpoint = endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  const auto parsed = parse_url(settings.endpoint);
  if (!parsed) return fail(ErrorCode::kUsage, "hub: HF_ENDPOINT: " + parsed.error().message);
  const std::string home = hub_home();
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (settings.cache.empty()) settings.cache = with_home(variable(name));
  }
  if (settings.cache.empty()) {
    if (home.empty()) return fail(ErrorCode::kUsage, {"hub: no home directory", "for the cache", "set HF_HOME or HF_HUB_CACHE", ""});
    settings.cache = home + "/hub";
  }
  settings.offline = is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE");
  ASSAY_ASSIGN(settings.token, find_token(home));
  return settings;
}

}  // namespace assay
