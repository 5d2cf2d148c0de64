#include "assay/hub/fetch.h"

#include <sys/statvfs.h>

#include <filesystem>
#include <set>

#include "assay/base/text.h"
#include "assay/hub/cache.h"
#include "assay/hub/download_file.h"
#include "assay/hub/part_file.h"

namespace assay {
namespace {

constexpr uint64_t kMaxListingBytes = uint64_t{256} << 20;

std::string who_of(const FetchRequest& request) {
  return "hub: " + request.repository.text() + (request.revision == "main" ? "" : " at " + printable(request.revision));
}

Result<ChosenFiles> choose(const FetchRequest& request, std::span<const RepositoryFile> files) {
  return request.patterns.empty() ? choose_model_files(files, request.type, who_of(request))
                                  : choose_named_files(files, request.patterns, who_of(request));
}

// What an earlier fetch left, without asking the hub.
Result<FetchResult> from_cache(const FetchRequest& request, const HubCache& cache) {
  FetchResult result;
  result.from_cache = true;
  const auto commit = cache.commit_of(request.revision);
  if (!commit) return fail(ErrorCode::kNotFound, {who_of(request), "is not in the cache", "", ""});
  result.commit = *commit;
  ASSAY_ASSIGN(const ChosenFiles chosen, choose(request, cache.snapshot_files(*commit)));
  for (const RepositoryFile& file : chosen.files) result.files.push_back({file, true});
  result.path = cache.snapshot_path(*commit, chosen.entry);
  return result;
}

// Files still to be fetched must fit on the disk, less what half-made files of an earlier try hold of it already.
Status check_space(const HubSettings& settings, const HubCache& cache, const std::vector<FetchedFile>& files) {
  uint64_t needed = 0;
  std::set<std::string> blobs;
  for (const FetchedFile& entry : files) {
    if (entry.was_there || cache.has_blob(entry.file) || !blobs.insert(entry.file.digest).second) continue;
    needed += entry.file.size - std::min(entry.file.size, PartFile::bytes_on_disk(cache.blob_path(entry.file.digest)));
  }
  std::error_code error;
  std::filesystem::create_directories(settings.cache, error);
  struct statvfs disk{};
  if (needed == 0 || ::statvfs(settings.cache.c_str(), &disk) != 0) return {};
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (needed <= available) return {};
  return fail(ErrorCode::kNoSpace, {"hub: cache " + settings.cache, "has " + format_bytes(available) + " free",
                                    format_bytes(needed) + " are needed", "HF_HUB_CACHE names another place"});
}

Status fetch_file(HubClient& client, const FetchRequest& request, const std::string& commit, const HubCache& cache,
                  const RepositoryFile& file, ByteMeter& meter) {
  ASSAY_ASSIGN(const auto lock, cache.lock(file.digest, client.progress()));
  if (!cache.has_blob(file)) {
    const std::string url = file_url(client.settings().endpoint, request.repository, commit, file.path);
    ASSAY_TRY(download_file(client, url, file, cache.blob_path(file.digest), who_of(request) + ": " + printable(file.path), meter));
  }
  return cache.link(commit, file);
}

}  // namespace

Result<FetchResult> fetch(const FetchRequest& request, const HubSettings& settings, const OpenTransfers& open_transfers,
                          Progress& progress) {
  if (!is_safe_path(request.revision))
    return fail(ErrorCode::kUsage,
                {"hub: revision '" + printable(request.revision) + "'", "is no name of a branch, tag or commit", "", ""});
  const HubCache cache(settings.cache, request.repository);
  auto cached = from_cache(request, cache);
  if (settings.offline) {
    if (cached) return cached;
    return fail(cached.error().code, cached.error().message + "; the cache is all there is while HF_HUB_OFFLINE is set");
  }
  ASSAY_ASSIGN(TransferFactory * transfers, open_transfers());
  HubClient client(settings, *transfers, progress);
  const std::string who = who_of(request);
  // With a copy at hand there is no need for patience.
  const auto text =
      client.text(listing_url(settings.endpoint, request.repository, request.revision), who, kMaxListingBytes, cached ? 1 : 0);
  if (!text) {
    if (!cached || text.error().code != ErrorCode::kIo) return fail(text.error());
    progress.log("warning: " + text.error().message + "; taking what is in the cache");
    return cached;
  }
  ASSAY_ASSIGN(const RepositoryListing listing, parse_listing(*text, who));
  ASSAY_ASSIGN(const ChosenFiles chosen, choose(request, listing.files));

  FetchResult result;
  result.commit = listing.commit;
  result.path = cache.snapshot_path(listing.commit, chosen.entry);
  for (const RepositoryFile& file : chosen.files) result.files.push_back({file, cache.has_file(listing.commit, file)});
  if (request.dry_run) return result;
  ASSAY_TRY(check_space(settings, cache, result.files));
  uint64_t missing = 0;
  for (const auto& [file, was_there] : result.files) {
    if (!was_there && !cache.has_blob(file))
      missing += file.size - PartFile::done_before(cache.blob_path(file.digest), file.size, settings.part_bytes);
  }
  ByteMeter meter(progress, missing);
  for (const FetchedFile& entry : result.files) {
    if (!entry.was_there) ASSAY_TRY(fetch_file(client, request, listing.commit, cache, entry.file, meter));
  }
  // Last: a revision never means a snapshot that was not finished once.
  ASSAY_TRY(cache.remember(request.revision, listing.commit));
  result.bytes_fetched = meter.total();
  return result;
}

}  // namespace assay
