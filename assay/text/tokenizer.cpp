#include "assay/text/tokenizer.h"

#include <algorithm>

#include "assay/text/normalize.h"
#include "assay/text/tokenizer_impl.h"

namespace assay {
namespace {

// A run of text, or a special token found in it.
struct Fragment {
  uint64_t begin = 0, end = 0;
  TokenId special = -1;
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Cuts the text at special tokens, the longest token first over the whole text (llama.cpp's order).
std::vector<Fragment> partition(std::string_view text, const std::vector<SpecialToken>& specials, bool parse_special) {
  std::vector<Fragment> fragments = {{0, text.size(), -1}}, next;
  for (const SpecialToken& special : specials) {
    if ((!parse_special && !special.user_defined) || text.find(special.text) == std::string_view::npos) continue;
    next.clear();
    for (const Fragment& fragment : fragments) {
      uint64_t at = fragment.begin;
      while (fragment.special < 0) {
        const size_t found = text.substr(0, fragment.end).find(special.text, at);
        if (found == std::string_view::npos) break;
        if (found > at) next.push_back({at, found, -1});
        next.push_back({found, found + special.text.size(), special.id});
        at = found + special.text.size();
        while (special.strips_right && at < fragment.end && is_space(text[at])) ++at;
      }
      if (fragment.special >= 0) {
        next.push_back(fragment);
      } else if (at < fragment.end) {
        next.push_back({at, fragment.end, -1});
      }
    }
    fragments.swap(next);
  }
  return fragments;
}

}  // namespace

Result<Tokenizer> Tokenizer::from_metadata(const Metadata& metadata) {
  auto impl = std::make_shared<Impl>();
  ASSAY_TRY(impl->read(metadata));
  return Tokenizer(std::move(impl));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const TokenizeOptions& options) const {
  std::vector<uint64_t> ends;
  return encode(text, options, ends);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const TokenizeOptions& options, std::vector<uint64_t>& ends) const {
  const std::string clean = replace_invalid_utf8(text);
  std::vector<TokenId> ids;
  ids.reserve(clean.size() / 4 + 2);
  ends.clear();
  if (options.add_special && impl_->add_bos && impl_->bos) {
    ids.push_back(*impl_->bos);
    ends.push_back(0);
  }
  bool after_special = true;
  if (!clean.empty())
    for (const Fragment& fragment : partition(clean, impl_->specials, options.parse_special)) {
      if (fragment.special >= 0) {
        ids.push_back(fragment.special);
        ends.push_back(fragment.end);
        after_special = true;
        continue;
      }
      const std::string_view piece = std::string_view(clean).substr(fragment.begin, fragment.end - fragment.begin);
      if (impl_->model == "llama") {
        impl_->encode_llama(piece, fragment.begin, impl_->add_space_prefix && after_special, ids, ends);
      } else if (impl_->composes && !is_composed(piece)) {
        const ComposedText composed = compose(piece);
        const size_t before = ends.size();
        impl_->encode_bpe(composed.text, 0, ids, ends);
        for (size_t i = before; i < ends.size(); ++i) ends[i] = fragment.begin + composed.source_ends[ends[i] - 1];
      } else {
        impl_->encode_bpe(piece, fragment.begin, ids, ends);
      }
      after_special = false;
    }
  if (options.add_special && impl_->add_eos && impl_->eos) {
    ids.push_back(*impl_->eos);
    ends.push_back(clean.size());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string text;
  bool first = true;
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= impl_->tokens.size()) continue;
    const auto index = static_cast<size_t>(id);
    const TokenKind kind = impl_->kinds[index];
    if (kind == TokenKind::kControl || kind == TokenKind::kUnknown || kind == TokenKind::kUserDefined) {
      if (special || kind == TokenKind::kUserDefined) text += impl_->tokens[index];
      first = first && text.empty();
      continue;
    }
    std::string_view piece = impl_->bytes[index];
    if (first && impl_->add_space_prefix && piece.starts_with(' ')) piece.remove_prefix(1);
    text += piece;
    first = false;
  }
  return text;
}

std::string_view Tokenizer::token_text(TokenId id) const {
  return id < 0 || static_cast<size_t>(id) >= impl_->tokens.size() ? std::string_view() : impl_->tokens[static_cast<size_t>(id)];
}
size_t Tokenizer::vocab_size() const { return impl_->tokens.size(); }
std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->eos; }
bool Tokenizer::adds_bos() const { return impl_->add_bos; }
bool Tokenizer::adds_eos() const { return impl_->add_eos; }
std::string_view Tokenizer::model() const { return impl_->model; }
std::string_view Tokenizer::pre_tokenizer() const { return impl_->pre; }
const std::string& Tokenizer::fingerprint() const { return impl_->fingerprint; }

}  // namespace assay
