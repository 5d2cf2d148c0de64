// Small text helpers shared by all rooms: sizes in and out, grouped digits, list joining.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

std::string group_digits(uint64_t number);  // 9437184 -> "9,437,184"
std::string format_bytes(uint64_t bytes);   // 9437184 -> "9.00 MiB"
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string lower_ascii(std::string_view text);
bool is_valid_utf8(std::string_view text);
// At most `limit` bytes of a name from an untrusted file, control bytes and invalid UTF-8 as \xNN: safe to print.
std::string printable(std::string_view text, size_t limit = 80);
// The name among `known` nearest to `given` by edit distance, for "did you mean"; empty when nothing is near.
std::string nearest_name(std::string_view given, const std::vector<std::string>& known);

// "512", "512B", "10KiB", "1.5GiB", "3g", "700MB" (decimal units are 1000-based) -> bytes. Error: kUsage.
Result<uint64_t> parse_size(std::string_view text);

}  // namespace assay
