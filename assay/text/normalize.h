// What happens to text before it is split: bytes that are no UTF-8 are replaced; some tokenizers (Qwen's) compose characters first.
// Non-goals: other normal forms, case folding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

// Unicode's recommended practice (its chapter 3.9, also Python's errors="replace"): every longest run of bytes that begins a valid
// sequence, and every other stray byte, becomes one U+FFFD. llama.cpp writes one U+FFFD per byte, so it gives more of them where a
// sequence of three or four bytes is cut short.
std::string replace_invalid_utf8(std::string_view text);

// Text in Unicode normal form C, and where its bytes come from.
struct ComposedText {
  std::string text;
  std::vector<uint32_t> source_ends;  // per byte of `text`: end, in the source, of what became it; ascending
};
bool is_composed(std::string_view text);      // already in form C; `text` is valid UTF-8
ComposedText compose(std::string_view text);  // `text` is valid UTF-8

}  // namespace assay
