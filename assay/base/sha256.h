// SHA-256 of memory and files. Used for input identity and store keys, not for security decisions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  // A number as 8 little-endian bytes.
  void add(uint64_t number);
  // 64 lower-case hexadecimal digits; the hasher is spent afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view text);
// Its first 64 bits: a stream of random numbers (random.h) for a name.
uint64_t name_stream(std::string_view name);

// Hash of a file's bytes. With a cache directory (may be empty: none) the hash is kept under the file's
// size, modification time and inode, so that a large model is read once.
Result<std::string> sha256_of_file(const std::string& path, const std::string& cache_dir = {});

// The directory for small caches: $ASSAY_CACHE, else $XDG_CACHE_HOME/assay, else ~/.cache/assay; empty if none can be made.
std::string default_cache_dir();

}  // namespace assay
