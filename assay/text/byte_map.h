// The alphabet of byte-level BPE: every byte has a printable character (GPT-2's table); vocabularies are written in it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

// UTF-8 text of the character that stands for a byte.
std::string_view character_of_byte(unsigned char byte);
// A vocabulary entry back to bytes; nullopt if it holds a character outside the alphabet.
std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace assay
