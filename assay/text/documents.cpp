#include "assay/text/documents.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <functional>
#include <memory>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

// " = Title = ": one '=' on each side, with spaces; the first line after a blank one.
bool is_wikitext_heading(std::string_view line) {
  if (!line.starts_with(" = ") || line.size() < 7) return false;
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  return line.ends_with(" =") && line.substr(3, 1) != "=" && line.find("= =") == std::string_view::npos;
}

enum class Place { kEndsDocument, kStartsDocument };

std::vector<uint64_t> ends_by(std::string_view text, Place place, const std::function<bool(std::string_view)>& matches) {
  std::vector<uint64_t> ends;
  for (uint64_t begin = 0; begin < text.size();) {
    const size_t newline = text.find('\n', begin);
    const uint64_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    std::string_view line = text.substr(begin, end - begin);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (matches(line)) {
      const uint64_t boundary = place == Place::kEndsDocument ? end : begin;
      if (boundary > 0 && (ends.empty() || boundary > ends.back())) ends.push_back(boundary);
    }
    begin = end;
  }
  if (ends.empty() || ends.back() < text.size()) ends.push_back(text.size());
  return ends;
}

}  // namespace

Result<std::vector<uint64_t>> document_ends(std::string_view text, const std::string& separator) {
  if (!separator.empty()) {
    int error = 0;
    PCRE2_SIZE at = 0;
    const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(separator.data()), separator.size(), PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, nullptr), pcre2_code_free);
    if (!code) return fail(ErrorCode::kUsage, {"--document-separator", "does not compile at character " + std::to_string(at), "a PCRE2 regular expression", ""});
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
    return ends_by(text, Place::kEndsDocument, [&](std::string_view line) {
      return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(line.data()), line.size(), 0, 0, data.get(), nullptr) >= 0;
    });
  }
  if (text.find(kEndOfText) != std::string_view::npos)
    return ends_by(text, Place::kEndsDocument, [](std::string_view line) { return line == kEndOfText; });
  return ends_by(text, Place::kStartsDocument, is_wikitext_heading);
}

}  // namespace assay
