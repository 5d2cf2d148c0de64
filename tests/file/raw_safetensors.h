// safetensors bytes from a header text and data, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace assay::testing_files {

inline std::string raw_safetensors(std::string_view header, std::string_view data, uint64_t announced_length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &announced_length, 8);
  return bytes.append(header).append(data);
}

inline std::string raw_safetensors(std::string_view header, std::string_view data) { return raw_safetensors(header, data, header.size()); }

// One F32 tensor "a" of two values and one U8 tensor "b" of four.
inline constexpr std::string_view kControlHeader =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}})";
inline constexpr std::string_view kControlData = "01234567abcd";

}  // namespace assay::testing_files
