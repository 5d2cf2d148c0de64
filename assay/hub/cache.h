// The hub's cache on disk, as huggingface_hub lays it out, so that each finds what the other fetched:
//   <root>/models--OWNER--NAME/blobs/<digest>                 the bytes, once
//   <root>/models--OWNER--NAME/snapshots/<commit>/<path>      links to them
//   <root>/models--OWNER--NAME/refs/<revision>                the commit that a branch or tag meant last
//   <root>/.locks/models--OWNER--NAME/<digest>.lock           held (flock) while a blob is being made
// Non-goals: removing anything, huggingface_hub's own half-made files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/hub/repository.h"

namespace assay {

class HubCache {
 public:
  HubCache(const std::string& root, const RepositoryId& repository);

  std::string blob_path(const std::string& digest) const;
  std::string snapshot_path(const std::string& commit, const std::string& path = {}) const;
  // The commit a revision meant when it was last fetched; a commit means itself.
  std::optional<std::string> commit_of(const std::string& revision) const;
  // Revisions and paths are safe (is_safe_path) from here on.
  Status remember(const std::string& revision, const std::string& commit) const;
  // Files of a snapshot whose bytes are there, sizes as on disk, sorted by path.
  std::vector<RepositoryFile> snapshot_files(const std::string& commit) const;
  bool has_blob(const RepositoryFile& file) const;  // of the listed size
  bool has_file(const std::string& commit, const RepositoryFile& file) const;
  // Makes the snapshot's name for a blob that is there.
  Status link(const std::string& commit, const RepositoryFile& file) const;

  // Waits until no other process makes this blob. Released with the returned object. kInterrupted.
  class Lock;
  Result<std::shared_ptr<Lock>> lock(const std::string& digest, Progress& progress) const;

 private:
  std::string root_, repository_;
};

}  // namespace assay
