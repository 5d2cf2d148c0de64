#include "assay/file/zip.h"

#include <zlib.h>

#include <algorithm>
#include <span>
#include <vector>

#include "assay/base/checked.h"
#include "assay/base/text.h"

namespace assay {
namespace {

// Layouts: PKWARE's APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end). All little-endian.
constexpr uint32_t kLocalMagic = 0x04034b50, kCentralMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22;
constexpr uint64_t kMaxComment = 65535;
constexpr uint64_t kMaxDirectoryBytes = uint64_t{64} << 20;

struct Entry {
  uint32_t flags = 0, method = 0, crc = 0;
  uint64_t packed = 0, size = 0, offset = 0;  // bytes; offset of the local header
};

uint32_t little(std::span<const std::byte> bytes, size_t at, size_t width) {
  uint32_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

tl::unexpected<Error> broken(const ByteSource& source, const std::string& found) {
  return fail(ErrorCode::kBadInput, {"zip: " + source.name(), found, "", "truncated or corrupt?"});
}

Result<std::vector<std::byte>> read(const ByteSource& source, uint64_t offset, uint64_t bytes) {
  if (!(CheckedSize(offset) + bytes).fits(source.size())) return broken(source, "ends before one of its parts does");
  std::vector<std::byte> out(bytes);
  ASSAY_TRY(source.read(offset, out));
  return out;
}

// The central directory: a fixed record at the end of the file, behind which only a comment may stand, says where it lies.
Result<std::vector<std::byte>> central_directory(const ByteSource& source) {
  const uint64_t tail_bytes = std::min(source.size(), kEndBytes + kMaxComment);
  ASSAY_ASSIGN(const std::vector<std::byte> tail, read(source, source.size() - tail_bytes, tail_bytes));
  for (size_t at = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; at-- > 0;) {
    if (little(tail, at, 4) != kEndMagic || at + kEndBytes + little(tail, at + 20, 2) != tail.size()) continue;
    const uint64_t bytes = little(tail, at + 12, 4), offset = little(tail, at + 16, 4);
    if (bytes > kMaxDirectoryBytes) return broken(source, "has a directory of " + format_bytes(bytes));
    return read(source, offset, bytes);
  }
  return broken(source, "has no directory of entries");
}

Result<Entry> find_entry(const ByteSource& source, std::string_view name) {
  ASSAY_ASSIGN(const std::vector<std::byte> directory, central_directory(source));
  for (size_t at = 0; at + kCentralBytes <= directory.size();) {
    if (little(directory, at, 4) != kCentralMagic) return broken(source, "has a directory that is none");
    const size_t name_bytes = little(directory, at + 28, 2);
    const size_t end = at + kCentralBytes + name_bytes + little(directory, at + 30, 2) + little(directory, at + 32, 2);
    if (end > directory.size()) return broken(source, "has a directory that ends early");
    const std::string_view found(reinterpret_cast<const char*>(directory.data()) + at + kCentralBytes, name_bytes);
    if (found == name)
      return Entry{little(directory, at + 8, 2),  little(directory, at + 10, 2), little(directory, at + 16, 4),
                   little(directory, at + 20, 4), little(directory, at + 24, 4), little(directory, at + 42, 4)};
    at = end;
  }
  return fail(ErrorCode::kNotFound, {"zip: " + source.name(), "has no entry '" + printable(name) + "'", "", ""});
}

Result<std::string> inflated(const ByteSource& source, std::span<const std::byte> packed, uint64_t size) {
  std::string text(size, '\0');
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return fail(ErrorCode::kInternal, "zip: zlib cannot start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int code = ::inflate(&stream, Z_FINISH);
  const uint64_t made = stream.total_out;
  ::inflateEnd(&stream);
  if (code != Z_STREAM_END || made != size) return broken(source, "has an entry that does not unpack to its size");
  return text;
}

}  // namespace

Result<std::string> read_zip_entry(const ByteSource& source, std::string_view name, uint64_t limit) {
  ASSAY_ASSIGN(const Entry entry, find_entry(source, name));
  const std::string who = "zip: " + source.name() + ": entry '" + printable(name) + "'";
  if ((entry.flags & 1) != 0) return fail(ErrorCode::kUnsupported, {who, "is encrypted", "", ""});
  if (entry.size > limit || entry.packed > limit)
    return fail(ErrorCode::kBadInput, {who, "has " + format_bytes(entry.size), "at most " + format_bytes(limit) + " are read", ""});
  ASSAY_ASSIGN(const std::vector<std::byte> local, read(source, entry.offset, kLocalBytes));
  if (little(local, 0, 4) != kLocalMagic) return broken(source, "has no entry where its directory says");
  const uint64_t begin = entry.offset + kLocalBytes + little(local, 26, 2) + little(local, 28, 2);
  ASSAY_ASSIGN(const std::vector<std::byte> packed, read(source, begin, entry.packed));
  std::string text;
  if (entry.method == 0 && entry.packed == entry.size) {
    text.assign(reinterpret_cast<const char*>(packed.data()), packed.size());
  } else if (entry.method == Z_DEFLATED) {
    ASSAY_ASSIGN(text, inflated(source, packed, entry.size));
  } else {
    return fail(ErrorCode::kUnsupported, {who, "has compression method " + std::to_string(entry.method), "0 or 8 (deflate)", ""});
  }
  if (::crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()) != entry.crc)
    return broken(source, "has an entry with a wrong CRC-32");
  return text;
}

}  // namespace assay
