#include "assay/hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

Status make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return system_error(path.string(), "creating the directory", error.value());
  return {};
}

// The size of the regular file that a path leads to.
std::optional<uint64_t> size_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace

class HubCache::Lock {
 public:
  explicit Lock(int descriptor) : descriptor_(descriptor) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

HubCache::HubCache(const std::string& root, const RepositoryId& repository) : root_(root), repository_(repository.cache_name()) {}

std::string HubCache::blob_path(const std::string& digest) const { return root_ + "/" + repository_ + "/blobs/" + digest; }

std::string HubCache::snapshot_path(const std::string& commit, const std::string& path) const {
  return root_ + "/" + repository_ + "/snapshots/" + commit + (path.empty() ? "" : "/" + path);
}

std::optional<std::string> HubCache::commit_of(const std::string& revision) const {
  if (is_hex(revision, 40)) return revision;
  if (!is_safe_path(revision)) return std::nullopt;
  const auto text = read_text_file(root_ + "/" + repository_ + "/refs/" + revision, 4096);
  if (!text) return std::nullopt;
  const std::string commit = text->substr(0, text->find_last_not_of(" \r\n") + 1);
  return is_hex(commit, 40) ? std::optional<std::string>(commit) : std::nullopt;
}

Status HubCache::remember(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return {};
  const fs::path path = fs::path(root_) / repository_ / "refs" / revision;
  ASSAY_TRY(make_directories(path.parent_path()));
  return write_text_file(path.string(), commit, OutputOptions{.force = true});
}

std::vector<RepositoryFile> HubCache::snapshot_files(const std::string& commit) const {
  std::vector<RepositoryFile> files;
  const fs::path base = snapshot_path(commit);
  std::error_code error;
  for (fs::recursive_directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
    const auto size = size_of(at->path().string());
    if (!size) continue;
    RepositoryFile file{at->path().lexically_relative(base).generic_string(), *size};
    std::error_code no_link;
    const std::string blob = fs::read_symlink(at->path(), no_link).filename().string();
    if (is_hex(blob, 64) || is_hex(blob, 40)) file.digest = blob;
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const RepositoryFile& a, const RepositoryFile& b) { return a.path < b.path; });
  return files;
}

bool HubCache::has_blob(const RepositoryFile& file) const { return size_of(blob_path(file.digest)) == file.size; }

bool HubCache::has_file(const std::string& commit, const RepositoryFile& file) const {
  return size_of(snapshot_path(commit, file.path)) == file.size;
}

Status HubCache::link(const std::string& commit, const RepositoryFile& file) const {
  const fs::path path = snapshot_path(commit, file.path), blob = blob_path(file.digest);
  ASSAY_TRY(make_directories(path.parent_path()));
  const fs::path target = blob.lexically_relative(path.parent_path());
  const std::string temporary = path.string() + ".tmp-assay-" + std::to_string(::getpid());
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  // A file system without links holds the bytes under the snapshot's name, as huggingface_hub does there.
  fs::rename(error ? blob : fs::path(temporary), path, error);
  if (error) return system_error(path.string(), "naming the fetched file", error.value());
  return {};
}

Result<std::shared_ptr<HubCache::Lock>> HubCache::lock(const std::string& digest, Progress& progress) const {
  using namespace std::chrono_literals;
  const std::string path = root_ + "/.locks/" + repository_ + "/" + digest + ".lock";
  ASSAY_TRY(make_directories(fs::path(path).parent_path()));
  for (bool said = false;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return system_error(path, "opening the lock", errno);
    const auto held = std::make_shared<Lock>(descriptor);
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK && errno != EINTR) return held;  // no locks on this file system: as if alone
    // Its last holder may have removed the name in between: then the lock is on nothing that others see.
    struct stat mine{}, named{};
    if (locked && ::fstat(descriptor, &mine) == 0 && ::stat(path.c_str(), &named) == 0 && mine.st_ino == named.st_ino) return held;
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "interrupted while another process fetches the same file");
    if (!locked && !said) progress.log("hub: another process fetches the same file; waiting for it");
    said |= !locked;
    std::this_thread::sleep_for(locked ? 1ms : 100ms);
  }
}

}  // namespace assay
