// A whole job: files of a repository, in the cache, by listing, choice, space, fetching, checking and naming them.
// Non-goals: opening models, printing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "assay/hub/choose_files.h"
#include "assay/hub/client.h"
#include "assay/hub/repository.h"

namespace assay {

struct FetchRequest {
  RepositoryId repository;
  std::string revision = "main";           // branch, tag or commit
  std::string type = {};                   // of a GGUF (choose_model_files), where `patterns` is empty
  std::vector<std::string> patterns = {};  // files by name instead (choose_named_files)
  bool dry_run = false;                    // find out what would be fetched
};

struct FetchedFile {
  RepositoryFile file;
  bool was_there = false;  // in the cache before
};

struct FetchResult {
  std::string path;    // what to open: a file, or the snapshot's directory
  std::string commit;  // 40 hex digits
  std::vector<FetchedFile> files;
  uint64_t bytes_fetched = 0;
  bool from_cache = false;  // the hub was not asked, or did not answer
};

// Called once, when the network is needed.
using OpenTransfers = std::function<Result<TransferFactory*>()>;

// kUsage (name, several choices), kNotFound (repository, revision, file, type; not in the cache when offline), kNoSpace, kIo, kBadInput
// (a listing or bytes that are not what they should be), kInterrupted: the same call goes on.
Result<FetchResult> fetch(const FetchRequest& request, const HubSettings& settings, const OpenTransfers& open_transfers,
                          Progress& progress);

}  // namespace assay
