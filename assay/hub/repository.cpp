#include "assay/hub/repository.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "assay/base/text.h"
#include "assay/file/json_text.h"
#include "assay/hub/url.h"

namespace assay {
namespace {

using nlohmann::json;

// One half of OWNER/NAME, as the hub allows it.
bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= 96 && std::all_of(text.begin(), text.end(), allowed) && text.front() != '-' &&
         text.front() != '.' && text.back() != '-' && text.back() != '.' && text.find("--") == std::string_view::npos &&
         text.find("..") == std::string_view::npos;
}

std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<RepositoryFile> parse_file(const json& entry, const std::string& who) {
  if (!entry.is_object()) return fail(ErrorCode::kBadInput, {who, "lists something that is no file", "", ""});
  RepositoryFile file;
  file.path = string_at(entry, "rfilename");
  if (!is_safe_path(file.path))
    return fail(ErrorCode::kBadInput, {who, "lists the path '" + printable(file.path) + "'", "paths inside the repository are needed",
                                       "an attempt to write elsewhere?"});
  const std::string of_file = who + ": file '" + printable(file.path) + "'";
  const auto lfs = entry.find("lfs");
  const bool large = lfs != entry.end() && lfs->is_object();
  const json& facts = large ? *lfs : entry;
  const auto size = facts.find("size");
  if (size == facts.end() || !size->is_number_unsigned())
    return fail(ErrorCode::kBadInput, {of_file, "is listed without its size", "", ""});
  file.size = size->get<uint64_t>();
  if (file.size > (uint64_t{1} << 62)) return fail(ErrorCode::kBadInput, {of_file, "is listed with an impossible size", "", ""});
  file.digest = string_at(facts, large ? "sha256" : "blobId");
  if (!is_hex(file.digest, large ? 64 : 40))
    return fail(ErrorCode::kBadInput,
                {of_file, "is listed without its checksum", large ? "SHA-256 of its bytes" : "git's id of its bytes", ""});
  return file;
}

}  // namespace

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || !is_valid_utf8(path)) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') return false;
  }
  for (const std::string& component : split(path, '/')) {
    if (component.empty() || component == "." || component == "..") return false;
  }
  return true;
}

std::string RepositoryId::cache_name() const {
  return std::string(kind == RepositoryKind::kModel ? "models" : "datasets") + "--" + owner + "--" + name;
}

Result<RepositoryId> parse_repository_id(std::string_view text, RepositoryKind kind) {
  const size_t slash = text.find('/');
  RepositoryId id{kind, std::string(text.substr(0, slash)), slash == std::string_view::npos ? "" : std::string(text.substr(slash + 1))};
  if (is_name(id.owner) && is_name(id.name)) return id;
  return fail(ErrorCode::kUsage, {"hub: '" + printable(text) + "'", "is not OWNER/NAME", "in letters, digits, '-', '_' and '.'", ""});
}

Result<HubModelName> parse_hub_model_name(std::string_view text) {
  const size_t colon = text.find(':');
  HubModelName name;
  ASSAY_ASSIGN(name.repository, parse_repository_id(text.substr(0, colon)));
  if (colon == std::string_view::npos) return name;
  name.type = text.substr(colon + 1);
  if (!is_safe_path(name.type))
    return fail(ErrorCode::kUsage, {"hub: '" + printable(text) + "'", "has no type after its colon", "OWNER/NAME:Q4_K_M", ""});
  return name;
}

Result<RepositoryListing> parse_listing(std::string_view text, const std::string& who) {
  ASSAY_ASSIGN(const json tree, parse_json(text, who + ": listing", RepeatedKeys::kLastWins));
  const auto siblings = tree.is_object() ? tree.find("siblings") : tree.end();
  if (!tree.is_object() || siblings == tree.end() || !siblings->is_array())
    return fail(ErrorCode::kBadInput, {who, "answers without a list of files", "", "is HF_ENDPOINT a hub?"});
  RepositoryListing listing;
  listing.commit = string_at(tree, "sha");
  if (!is_hex(listing.commit, 40)) return fail(ErrorCode::kBadInput, {who, "answers without a commit", "40 hexadecimal digits", ""});
  std::unordered_set<std::string> seen;
  for (const json& entry : *siblings) {
    ASSAY_ASSIGN(RepositoryFile file, parse_file(entry, who));
    if (!seen.insert(file.path).second) return fail(ErrorCode::kBadInput, {who, "lists '" + printable(file.path) + "' twice", "", ""});
    listing.files.push_back(std::move(file));
  }
  return listing;
}

std::string listing_url(const std::string& endpoint, const RepositoryId& repository, const std::string& revision) {
  // A slash in a revision ("refs/pr/1") is part of its name.
  std::string name = percent_encoded_path(revision);
  for (size_t at = 0; (at = name.find('/', at)) != std::string::npos;) name.replace(at, 1, "%2F");
  return endpoint + (repository.kind == RepositoryKind::kModel ? "/api/models/" : "/api/datasets/") + repository.text() + "/revision/" +
         name + "?blobs=true";
}

std::string file_url(const std::string& endpoint, const RepositoryId& repository, const std::string& commit, const std::string& path) {
  return endpoint + (repository.kind == RepositoryKind::kModel ? "/" : "/datasets/") + repository.text() + "/resolve/" + commit + "/" +
         percent_encoded_path(path);
}

}  // namespace assay
