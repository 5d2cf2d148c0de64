#include "assay/file/atomic_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/byte_source.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr std::string_view kTemporaryMark = ".tmp-assay-";

std::string directory_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

Status check_target(const std::string& path, const OutputOptions& options) {
  struct stat target{};
  if (::stat(path.c_str(), &target) != 0) {
    if (errno == ENOENT) return {};
    return system_error(path, "examining the output", errno);
  }
  if (!S_ISREG(target.st_mode)) {
    return fail(ErrorCode::kUsage,
                {"output " + path, S_ISDIR(target.st_mode) ? "is a directory" : "is not a regular file", "name a file", ""});
  }
  for (const std::string& input : options.inputs) {
    struct stat source{};
    if (::stat(input.c_str(), &source) == 0 && source.st_dev == target.st_dev && source.st_ino == target.st_ino) {
      return fail(ErrorCode::kUsage, {"output " + path, "is the input " + input, "choose another name", ""});
    }
  }
  if (options.force) return {};
  return fail(ErrorCode::kUsage, {"output " + path, "exists", "choose another name or use --force", ""});
}

Status check_space(const std::string& path, uint64_t needed) {
  struct statvfs disk{};
  if (needed == 0 || ::statvfs(directory_of(path).c_str(), &disk) != 0) return {};
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (needed <= available) return {};
  return fail(ErrorCode::kNoSpace,
              {"output " + path, "needs " + format_bytes(needed), "the disk has " + format_bytes(available) + " free", ""});
}

// A writer holds a lock on its temporary file for life, so one that can be locked belongs to a dead writer.
void remove_leftovers(const std::string& path) {
  const std::string prefix = fs::path(path).filename().string() + std::string(kTemporaryMark);
  std::error_code ignored;
  for (fs::directory_iterator it(directory_of(path), ignored), end; !ignored && it != end; it.increment(ignored)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const int descriptor = ::open(it->path().c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(descriptor);
  }
}

Status sync_directory(const std::string& path) {
  const std::string directory = directory_of(path);
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_error(directory, "opening the directory to sync it", errno);
  const int code = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (code != 0 && code != EINVAL) return system_error(directory, "syncing the directory", code);  // EINVAL: no such thing there
  return {};
}

}  // namespace

struct AtomicWriter::State {
  std::string path;       // final name, links resolved
  std::string temporary;  // empty once renamed
  bool force = false;
  int descriptor = -1;
  uint64_t allocated = 0;  // bytes reserved beyond what is written
  uint64_t written = 0;
  std::vector<std::byte> buffer;

  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
    if (descriptor >= 0) ::close(descriptor);
  }

  Status open_temporary();
  Status reserve(uint64_t bytes);
  Status put(std::span<const std::byte> bytes);
  Status flush();
  Status move_into_place();
};

Status AtomicWriter::State::open_temporary() {
  static std::atomic<uint64_t> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = path + std::string(kTemporaryMark) + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
    const int opened = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (opened < 0 && errno == EEXIST) continue;
    if (opened < 0) return system_error(name, "creating the temporary file", errno);
    // Between creating and locking, another writer may have taken it for a leftover: then it has no name any more.
    struct stat status{};
    const bool locked = ::flock(opened, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (locked && ::fstat(opened, &status) == 0 && status.st_nlink > 0) {
      descriptor = opened;
      temporary = std::move(name);
      return {};
    }
    ::close(opened);
  }
  return fail(ErrorCode::kIo, {path, "got no free name for its temporary file in 100 attempts", "", ""});
}

// Blocks are reserved before the first byte, so that a full disk is seen at once. Where the file system cannot, writing goes on without.
Status AtomicWriter::State::reserve(uint64_t bytes) {
  if (bytes == 0) return {};
  if (::fallocate(descriptor, 0, 0, static_cast<off_t>(bytes)) == 0) {
    allocated = bytes;
    return {};
  }
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return system_error(path, "reserving " + format_bytes(bytes), errno);
  return {};
}

Status AtomicWriter::State::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return system_error(temporary, "writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return {};
}

Status AtomicWriter::State::flush() {
  ASSAY_TRY(put(buffer));
  buffer.clear();
  if (allocated > written) {
    if (::ftruncate(descriptor, static_cast<off_t>(written)) != 0) return system_error(temporary, "setting the length", errno);
    allocated = 0;
  }
  return {};
}

Status AtomicWriter::State::move_into_place() {
  int code = 0;
  if (!force) {
    code = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
    if (code == EEXIST)
      return fail(ErrorCode::kUsage, {"output " + path, "appeared while it was being written", "use --force to replace it", ""});
  }
  const bool unsupported = code == EINVAL || code == ENOSYS;
  if (force || unsupported) code = ::rename(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  if (code != 0) return system_error(path, "renaming the finished file", code);
  temporary.clear();
  return {};
}

AtomicWriter::AtomicWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
AtomicWriter::AtomicWriter(AtomicWriter&&) noexcept = default;
AtomicWriter& AtomicWriter::operator=(AtomicWriter&&) noexcept = default;
AtomicWriter::~AtomicWriter() = default;

tl::unexpected<Error> system_error(const std::string& path, const std::string& doing, int code) {
  // EFBIG: a file size limit (ulimit -f) or the file system's; EDQUOT: a quota.
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return fail(full ? ErrorCode::kNoSpace : ErrorCode::kIo, {path + ": " + doing, std::string("failed: ") + std::strerror(code), "", ""});
}

Result<AtomicWriter> AtomicWriter::create(const std::string& path, const OutputOptions& options) {
  if (path.empty() || path.back() == '/') return fail(ErrorCode::kUsage, {"output '" + path + "'", "is not a file name", "", ""});
  ASSAY_TRY(check_target(path, options));
  auto state = std::make_unique<State>();
  std::error_code no_such_file;
  const fs::path resolved = fs::canonical(path, no_such_file);  // a link keeps pointing where it points
  state->path = no_such_file ? path : resolved.string();
  state->force = options.force;
  remove_leftovers(state->path);
  ASSAY_TRY(check_space(state->path, options.expected_bytes));
  ASSAY_TRY(state->open_temporary());
  ASSAY_TRY(state->reserve(options.expected_bytes));
  return AtomicWriter(std::move(state));
}

Status AtomicWriter::write(std::span<const std::byte> bytes) {
  State& s = *state_;
  s.written += bytes.size();
  if (s.buffer.size() + bytes.size() > kBufferBytes) {
    ASSAY_TRY(s.put(s.buffer));
    s.buffer.clear();
  }
  if (bytes.size() >= kBufferBytes) return s.put(bytes);
  s.buffer.insert(s.buffer.end(), bytes.begin(), bytes.end());
  return {};
}

Status AtomicWriter::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Status AtomicWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  State& s = *state_;
  ASSAY_TRY(s.put(s.buffer));
  s.buffer.clear();
  s.written = std::max(s.written, offset + bytes.size());
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(s.descriptor, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return system_error(s.temporary, "writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return {};
}

uint64_t AtomicWriter::written() const { return state_->written; }

Result<std::string> AtomicWriter::flushed_path() {
  ASSAY_TRY(state_->flush());
  return state_->temporary;
}

Status AtomicWriter::commit() {
  State& s = *state_;
  ASSAY_TRY(s.flush());
  if (::fsync(s.descriptor) != 0) return system_error(s.temporary, "syncing to disk", errno);
  ASSAY_TRY(s.move_into_place());
  const int code = ::close(std::exchange(s.descriptor, -1)) == 0 ? 0 : errno;
  if (code != 0 && code != EINTR) return system_error(s.path, "closing", code);
  return sync_directory(s.path);
}

Status write_text_file(const std::string& path, std::string_view text, const OutputOptions& options) {
  ASSAY_ASSIGN(AtomicWriter writer, AtomicWriter::create(path, options));
  ASSAY_TRY(writer.write(text));
  return writer.commit();
}

Result<std::string> read_text_file(const std::string& path, uint64_t limit_bytes) {
  ASSAY_ASSIGN(const std::shared_ptr<ByteSource> source, open_file(path));
  if (source->size() > limit_bytes) {
    return fail(ErrorCode::kBadInput,
                {path, "has " + format_bytes(source->size()), "at most " + format_bytes(limit_bytes) + " are read", ""});
  }
  std::string text(source->size(), '\0');
  ASSAY_TRY(source->read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace assay
