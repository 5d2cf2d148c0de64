#include "assay/text/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uniset.h>

#include <memory>

#include "assay/base/text.h"

namespace assay {
namespace {

// Bytes at the start of `text` that are a valid sequence (`valid`), or the longest beginning of one, at least 1.
struct Sequence {
  size_t length = 1;
  bool valid = false;
};
Sequence sequence_at(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, true};
  if (first < 0xC2 || first > 0xF4) return {1, false};
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i)
    if (i >= text.size() || byte(i) < (i == 1 ? least : 0x80) || byte(i) > (i == 1 ? most : 0xBF)) return {i, false};
  return {length, true};
}

// Form C of the characters of Unicode 9: younger ones stay where they are, as in the Hugging Face tokenizers package, whose tables
// are of that version.
const icu::Normalizer2* form_c() {
  static const std::unique_ptr<const icu::Normalizer2> normalizer = []() -> std::unique_ptr<const icu::Normalizer2> {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* all = icu::Normalizer2::getNFCInstance(status);
    static const icu::UnicodeSet known(u"[:age=9.0:]", status);
    if (U_FAILURE(status)) return nullptr;
    return std::make_unique<icu::FilteredNormalizer2>(*all, known);
  }();
  return normalizer.get();
}

icu::StringPiece piece_of(std::string_view text) { return {text.data(), static_cast<int32_t>(text.size())}; }

}  // namespace

std::string replace_invalid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string result;
  while (!text.empty()) {
    const Sequence sequence = sequence_at(text);
    result += sequence.valid ? text.substr(0, sequence.length) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(sequence.length);
  }
  return result;
}

bool is_composed(std::string_view text) {
  // Everything below U+0300 is stable: most text is settled by its bytes.
  bool low = true;
  for (const char c : text) low &= static_cast<unsigned char>(c) < 0xCC;
  if (low) return true;
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = form_c();
  return normalizer == nullptr || normalizer->isNormalizedUTF8(piece_of(text), status);
}

ComposedText compose(std::string_view text) {
  ComposedText result;
  UErrorCode status = U_ZERO_ERROR;
  icu::Edits edits;
  icu::StringByteSink<std::string> sink(&result.text, static_cast<int32_t>(text.size()));
  const icu::Normalizer2* normalizer = form_c();
  if (normalizer == nullptr) return {std::string(text), {}};
  normalizer->normalizeUTF8(0, piece_of(text), sink, &edits, status);
  result.source_ends.reserve(result.text.size());
  for (auto change = edits.getFineIterator(); change.next(status);) {
    const auto source = static_cast<uint32_t>(change.sourceIndex());
    for (int32_t i = 0; i < change.newLength(); ++i)
      result.source_ends.push_back(change.hasChange() ? source + static_cast<uint32_t>(change.oldLength())
                                                      : source + static_cast<uint32_t>(i) + 1);
  }
  return result;
}

}  // namespace assay
