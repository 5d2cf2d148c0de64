// What the tests of file/ share: a scratch directory, whole-file helpers, and the three kinds of source a reader must treat alike.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assay/file/byte_source.h"

namespace assay::testing_files {

// A directory of its own per test, removed afterwards.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "assay-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) found.push_back(entry.path().filename().string());
    return found;
  }

 private:
  std::filesystem::path path_;
};

inline void put_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush()) << path;
}

inline std::string get_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::vector<std::byte> to_bytes(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// Highest resident memory since the last reset, in KiB. Sanitizers keep freed memory: measure without them.
inline void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }
inline long peak_memory_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stol(line.substr(6));
  return 0;
}
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kMemoryIsMeasurable = false;
#else
inline constexpr bool kMemoryIsMeasurable = true;
#endif

enum class SourceKind { kDisk, kMemory, kCallback };

inline std::string source_name(const ::testing::TestParamInfo<SourceKind>& info) {
  static constexpr const char* kNames[] = {"Disk", "Memory", "Callback4KiB"};
  return kNames[static_cast<int>(info.param)];
}

// `bytes` as a source of that kind; the scratch directory holds the file of the disk kind.
inline std::shared_ptr<ByteSource> make_source(SourceKind kind, std::string_view bytes, const ScratchDirectory& scratch) {
  if (kind == SourceKind::kMemory) return memory_source(to_bytes(bytes), "file.under.test");
  if (kind == SourceKind::kCallback) {
    auto held = std::make_shared<const std::string>(bytes);
    auto reader = [held](uint64_t offset, std::span<std::byte> out) -> Status {
      EXPECT_LE(out.size(), 4096u);
      std::memcpy(out.data(), held->data() + offset, out.size());
      return {};
    };
    return callback_source(held->size(), reader, "file.under.test", 4096);
  }
  const std::string path = scratch / "file.under.test";
  put_file(path, bytes);
  auto opened = open_file(path);
  EXPECT_TRUE(opened.has_value());
  return opened.value_or(nullptr);
}

}  // namespace assay::testing_files
