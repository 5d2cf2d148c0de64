#include "assay/text/byte_map.h"

#include <vector>

namespace assay {
namespace {

struct Tables {
  std::array<std::string, 256> character;
  std::array<int, 512> byte;  // by code point; -1: none

  Tables() {
    byte.fill(-1);
    int next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
      const int point = printable ? b : next++;
      byte[static_cast<size_t>(point)] = b;
      std::string& text = character[static_cast<size_t>(b)];
      if (point < 0x80) {
        text = static_cast<char>(point);
      } else {
        text = {static_cast<char>(0xC0 | (point >> 6)), static_cast<char>(0x80 | (point & 63))};
      }
    }
  }
};

const Tables& tables() {
  static const Tables tables;
  return tables;
}

}  // namespace

std::string_view character_of_byte(unsigned char byte) { return tables().character[byte]; }

std::optional<std::string> bytes_of_token(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    const auto first = static_cast<unsigned char>(token[i]);
    size_t point = first;
    size_t length = 1;
    if (first >= 0xC0 && first < 0xE0 && i + 1 < token.size()) {
      point = (first & 31u) << 6 | (static_cast<unsigned char>(token[i + 1]) & 63u);
      length = 2;
    } else if (first >= 0x80) {
      return std::nullopt;
    }
    if (point >= 512 || tables().byte[point] < 0) return std::nullopt;
    bytes += static_cast<char>(tables().byte[point]);
    i += length;
  }
  return bytes;
}

}  // namespace assay
