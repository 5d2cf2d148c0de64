// A repository of the hub: its name, its files at one commit, and the addresses of both. Listings are untrusted: paths that leave the
// repository, digests that are none and repeated names are refused.
// Non-goals: fetching (client.h, fetch.h), choosing among files (choose_files.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

enum class RepositoryKind { kModel, kDataset };

struct RepositoryId {
  RepositoryKind kind = RepositoryKind::kModel;
  std::string owner, name;

  std::string text() const { return owner + "/" + name; }
  // "models--OWNER--NAME", as the hub's cache names it.
  std::string cache_name() const;
};
// kUsage: not OWNER/NAME in letters, digits, '-', '_' and '.'.
Result<RepositoryId> parse_repository_id(std::string_view text, RepositoryKind kind = RepositoryKind::kModel);

// OWNER/NAME[:TYPE], where a command takes a model.
struct HubModelName {
  RepositoryId repository;
  std::string type;  // "Q4_K_M", or the name of a GGUF file; empty: not given
};
Result<HubModelName> parse_hub_model_name(std::string_view text);

struct RepositoryFile {
  std::string path;         // in the repository, with slashes
  uint64_t size = 0;        // bytes
  std::string digest = {};  // 64 hex digits: SHA-256 (large files); 40: git's SHA-1 of the blob; empty: not known (cached files)
};

struct RepositoryListing {
  std::string commit;  // 40 hex digits
  std::vector<RepositoryFile> files;
};

// The hub's answer to listing_url. kBadInput names what is wrong with it.
Result<RepositoryListing> parse_listing(std::string_view json, const std::string& who);

std::string listing_url(const std::string& endpoint, const RepositoryId& repository, const std::string& revision);
std::string file_url(const std::string& endpoint, const RepositoryId& repository, const std::string& commit, const std::string& path);

bool is_hex(std::string_view text, size_t digits);
// A relative path of plain components: no "..", no empty ones, no control characters or back-slashes.
bool is_safe_path(std::string_view path);

}  // namespace assay
