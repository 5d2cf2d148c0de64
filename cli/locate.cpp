// Where a MODEL or a text named on the command line is: on disk, or on the hub, from where it is fetched.
#include <filesystem>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/hub/known_texts.h"
#include "cli/command.h"

namespace assay::cli {
namespace {

constexpr std::string_view kHubPrefix = "hf://";

bool is_there(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// OWNER/NAME[:TYPE], and no path: nothing of that name is there, and its extension is none that we read.
bool names_hub_model(const std::string& text) {
  return text.starts_with(kHubPrefix) ||
         (parse_hub_model_name(text) && !is_there(text) && !text.ends_with(".gguf") && !text.ends_with(".safetensors"));
}

}  // namespace

Status locate_model(std::string& model, Context& context) {
  if (!names_hub_model(model)) return {};
  const bool prefixed = model.starts_with(kHubPrefix);
  // Beside a directory OWNER it may as well be a misspelt path, which is nobody else's business.
  if (!prefixed && is_there(model.substr(0, model.find('/'))))
    return fail(ErrorCode::kNotFound, {printable(model), "is not there", "hf://" + printable(model) + " names a model on the hub", ""});
  ASSAY_ASSIGN(const HubModelName name, parse_hub_model_name(std::string_view(model).substr(prefixed ? kHubPrefix.size() : 0)));
  ASSAY_ASSIGN(const HubSettings settings, hub_settings_from_environment());
  FetchRequest request;
  request.repository = name.repository;
  request.type = name.type;
  const auto fetched = fetch(request, settings, context.transfers, context.progress);
  if (!fetched) {
    const bool path_meant = !prefixed && fetched.error().code == ErrorCode::kNotFound;
    return fail(fetched.error().code,
                fetched.error().message + (path_meant ? "; nor is there a file or directory '" + printable(model) + "'" : ""));
  }
  model = fetched->path;
  return {};
}

Status locate_text(std::string& text, Context& context) {
  if (!names_known_text(text) || is_there(text)) return {};
  const KnownText* known = find_known_text(text);
  if (known == nullptr) {
    std::vector<std::string> names;
    for (const KnownText& one : known_texts()) names.emplace_back(one.name);
    return fail(ErrorCode::kUsage,
                {"text '" + printable(text) + "'", "is neither a file nor a known text", "known: " + join(names, ", "), ""});
  }
  ASSAY_ASSIGN(const HubSettings settings, hub_settings_from_environment());
  const std::string cache = default_cache_dir();
  if (cache.empty()) return fail(ErrorCode::kIo, {"no cache directory", "to unpack the text into", "set ASSAY_CACHE", ""});
  ASSAY_ASSIGN(text, fetch_known_text(*known, cache + "/texts", settings, context.transfers, context.progress));
  return {};
}

}  // namespace assay::cli
