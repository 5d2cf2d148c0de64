#include "assay/text/documents.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <functional>
#include <memory>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\n") == std::string_view::npos; }

// " = Title = ": one '=' on each side, with spaces.
bool is_wikitext_title(std::string_view line) {
  if (!line.starts_with(" = ") || line.size() < 7) return false;
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  return line.ends_with(" =") && line.substr(3, 1) != "=" && line.find("= =") == std::string_view::npos;
}

enum class Place { kEndsDocument, kStartsDocument };
// Sees a line without its newline, and its neighbours.
using LineTest = std::function<bool(std::string_view line, std::string_view before, std::string_view after)>;

std::string_view line_at(std::string_view text, uint64_t begin) { return text.substr(begin, text.find('\n', begin) - begin); }

std::vector<uint64_t> ends_by(std::string_view text, Place place, const LineTest& matches) {
  std::vector<uint64_t> ends;
  std::string_view before;
  for (uint64_t begin = 0; begin < text.size();) {
    const size_t newline = text.find('\n', begin);
    const uint64_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    std::string_view line = text.substr(begin, end - begin);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (matches(line, before, end < text.size() ? line_at(text, end) : std::string_view())) {
      const uint64_t boundary = place == Place::kEndsDocument ? end : begin;
      if (boundary > 0 && (ends.empty() || boundary > ends.back())) ends.push_back(boundary);
    }
    before = line;
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
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(separator.data()), separator.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, nullptr),
        pcre2_code_free);
    if (!code)
      return fail(ErrorCode::kUsage,
                  {"--document-separator", "does not compile at character " + std::to_string(at), "a PCRE2 regular expression", ""});
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
    return ends_by(text, Place::kEndsDocument, [&](std::string_view line, std::string_view, std::string_view) {
      return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(line.data()), line.size(), 0, PCRE2_NO_UTF_CHECK, data.get(), nullptr) >=
             0;
    });
  }
  bool marked = false;
  const auto by_marker = ends_by(text, Place::kEndsDocument, [&](std::string_view line, std::string_view, std::string_view) {
    marked |= line == kEndOfText;
    return line == kEndOfText;
  });
  if (marked) return by_marker;
  // A title stands between blank lines; inside a paragraph, " = 1 henry and capacitance C = " is none.
  return ends_by(text, Place::kStartsDocument, [](std::string_view line, std::string_view before, std::string_view after) {
    return is_wikitext_title(line) && is_blank(before) && is_blank(after);
  });
}

}  // namespace assay
