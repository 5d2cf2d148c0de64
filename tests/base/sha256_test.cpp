#include "assay/base/sha256.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace assay {
namespace {

namespace fs = std::filesystem;

// FIPS 180-2 examples.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, PiecesEqualTheWhole) {
  Sha256 hash;
  hash.add(std::string_view("a"));
  const std::byte rest[] = {std::byte{'b'}, std::byte{'c'}};
  hash.add(std::span<const std::byte>(rest));
  EXPECT_EQ(hash.hex(), sha256_hex("abc"));
  Sha256 number;
  number.add(uint64_t{0x0807060504030201});
  EXPECT_EQ(number.hex(), sha256_hex("\x01\x02\x03\x04\x05\x06\x07\x08"));
}

class FileHash : public ::testing::Test {
 protected:
  FileHash() {
    std::string pattern = (fs::temp_directory_path() / "assay-test-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~FileHash() override { fs::remove_all(dir_); }
  void put(const std::string& text) const { std::ofstream(dir_ / "file") << text; }
  std::string path() const { return (dir_ / "file").string(); }
  fs::path dir_;
};

TEST_F(FileHash, OfAFile) {
  put("abc");
  EXPECT_EQ(*sha256_of_file(path()), sha256_hex("abc"));
  EXPECT_EQ(sha256_of_file(path() + "x").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(sha256_of_file(dir_.string()));
}

TEST_F(FileHash, TheCacheFollowsTheFile) {
  put("abc");
  const std::string cache = (dir_ / "cache").string();
  fs::create_directory(cache);
  EXPECT_EQ(*sha256_of_file(path(), cache), sha256_hex("abc"));
  ASSERT_FALSE(fs::is_empty(cache));
  // The entry is used: a changed one is believed.
  for (const auto& entry : fs::directory_iterator(cache)) std::ofstream(entry.path()) << std::string(64, '0');
  EXPECT_EQ(*sha256_of_file(path(), cache), std::string(64, '0'));
  // Another size, then another time: new entries.
  put("abcd");
  EXPECT_EQ(*sha256_of_file(path(), cache), sha256_hex("abcd"));
  put("abce");
  fs::last_write_time(path(), fs::last_write_time(path()) + std::chrono::seconds(5));
  EXPECT_EQ(*sha256_of_file(path(), cache), sha256_hex("abce"));
  EXPECT_EQ(*sha256_of_file(path(), (dir_ / "nowhere").string()), sha256_hex("abce")) << "a cache that cannot be written costs only time";
}

}  // namespace
}  // namespace assay
