// Zip entries: a control made by hand, then one fault per case.
#include "assay/file/zip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <span>

namespace assay {
namespace {

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string deflated(const std::string& text) {
  std::string packed(text.size() + 100, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

struct Parts {
  std::string name = "dir/text", text = "one two three two one ";
  int method = 8, flags = 0;
  uint32_t crc_change = 0, size_change = 0;
  std::string comment = "a comment";
};

// Two entries: one stored, then the one in question.
std::string archive(const Parts& p) {
  std::string bytes, directory;
  const auto add = [&](const std::string& name, const std::string& text, const Parts& parts) {
    const std::string packed = parts.method == 8 ? deflated(text) : text;
    const auto crc = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
    const std::string facts = little(static_cast<uint64_t>(parts.flags), 2) + little(static_cast<uint64_t>(parts.method), 2) +
                              little(0, 4) + little(crc ^ parts.crc_change, 4) + little(packed.size(), 4) +
                              little(text.size() + parts.size_change, 4) + little(name.size(), 2) + little(3, 2);
    directory += "PK\1\2" + little(20, 2) + little(20, 2) + facts + little(0, 2) + little(0, 8) + little(bytes.size(), 4) + name + "xyz";
    bytes += "PK\3\4" + little(20, 2) + facts + name + "xyz" + packed;
  };
  Parts stored;
  stored.method = 0;
  add("first", "stored text", stored);
  add(p.name, p.text, p);
  const uint64_t at = bytes.size();
  return bytes + directory + std::string("PK\5\6") + little(0, 4) + little(2, 2) + little(2, 2) + little(directory.size(), 4) +
         little(at, 4) + little(p.comment.size(), 2) + p.comment;
}

Result<std::string> entry(const std::string& bytes, const std::string& name = "dir/text", uint64_t limit = 1000) {
  const auto view = std::as_bytes(std::span(bytes));
  return read_zip_entry(*memory_source({view.begin(), view.end()}), name, limit);
}

std::string refusal(const std::string& bytes, const std::string& name = "dir/text", uint64_t limit = 1000) {
  const auto result = entry(bytes, name, limit);
  return result ? "accepted" : std::string(name_of(result.error().code)) + ": " + result.error().message;
}

TEST(Zip, ControlGivesTheText) {
  EXPECT_EQ(entry(archive({})).value(), Parts().text);
  EXPECT_EQ(entry(archive({}), "first").value(), "stored text");
  Parts none;
  none.comment = "";
  EXPECT_EQ(entry(archive(none)).value(), Parts().text);
  Parts empty;
  empty.text = "";
  EXPECT_EQ(entry(archive(empty)).value(), "");
}

TEST(Zip, FaultsAreNamed) {
  Parts crc, size, method, secret;
  crc.crc_change = 1, size.size_change = 1, method.method = 9, secret.flags = 1;
  EXPECT_NE(refusal(archive(crc)).find("wrong CRC-32"), std::string::npos);
  EXPECT_NE(refusal(archive(size)).find("does not unpack to its size"), std::string::npos);
  EXPECT_NE(refusal(archive(method)).find("unsupported: "), std::string::npos);
  EXPECT_NE(refusal(archive(secret)).find("is encrypted"), std::string::npos);
  EXPECT_NE(refusal(archive({}), "dir/other").find("not_found: "), std::string::npos);
  EXPECT_NE(refusal(archive({}), "dir/text", 10).find("at most 10 B"), std::string::npos);
  EXPECT_NE(refusal("").find("no directory"), std::string::npos);
  EXPECT_NE(refusal("PK").find("no directory"), std::string::npos);
}

// Whatever is cut or flipped: an error or the right text, and nothing outside the buffer is read (run under AddressSanitizer too).
TEST(Zip, NoDamageGivesOtherText) {
  const std::string good = archive({});
  for (size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(entry(good.substr(0, length))) << length;
  for (size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const auto result = entry(bad);
      EXPECT_EQ(result.value_or(Parts().text), Parts().text) << at;
    }
}

}  // namespace
}  // namespace assay
