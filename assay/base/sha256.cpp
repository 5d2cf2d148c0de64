#include "assay/base/sha256.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace assay {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::span<const std::byte> bytes) { EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()); }
void Sha256::add(std::string_view text) { EVP_DigestUpdate(state_->context, text.data(), text.size()); }
void Sha256::add(uint64_t number) { EVP_DigestUpdate(state_->context, &number, sizeof number); }

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context, digest, &size);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.add(text);
  return hash.hex();
}

uint64_t name_stream(std::string_view name) { return std::stoull(sha256_hex(name).substr(0, 16), nullptr, 16); }

namespace {

Result<std::string> hash_whole_file(int descriptor, const std::string& path) {
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::kIo, {path, std::strerror(errno), "", "reading it for its hash"});
    if (got == 0) return hash.hex();
    hash.add(std::span<const std::byte>(buffer.data(), static_cast<size_t>(got)));
  }
}

}  // namespace

Result<std::string> sha256_of_file(const std::string& path, const std::string& cache_dir) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
    return fail(code, {path, "cannot be opened", std::strerror(errno), ""});
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  struct stat info{};
  if (::fstat(descriptor, &info) != 0) return fail(ErrorCode::kIo, {path, std::strerror(errno), "", ""});
  std::string entry;
  if (!cache_dir.empty()) {
    const std::string key =
        fmt::format("{}:{}:{}:{}.{}", info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    entry = cache_dir + "/sha256-" + sha256_hex(key);
    std::ifstream cached(entry);
    std::string value;
    if (cached >> value && value.size() == 64) return value;
  }
  auto hash = hash_whole_file(descriptor, path);
  if (hash && !entry.empty()) {  // A cache that cannot be written costs time, never correctness.
    const std::string temporary = fmt::format("{}.{}", entry, ::getpid());
    std::ofstream(temporary) << *hash << '\n';
    std::error_code ignored;
    std::filesystem::rename(temporary, entry, ignored);
  }
  return hash;
}

std::string default_cache_dir() {
  std::string dir;
  if (const char* own = std::getenv("ASSAY_CACHE")) {
    dir = own;
  } else if (const char* xdg = std::getenv("XDG_CACHE_HOME")) {
    dir = std::string(xdg) + "/assay";
  } else if (const char* home = std::getenv("HOME")) {
    dir = std::string(home) + "/.cache/assay";
  }
  std::error_code error;
  if (dir.empty() || (!std::filesystem::is_directory(dir, error) && !std::filesystem::create_directories(dir, error))) return {};
  return dir;
}

}  // namespace assay
