#include "assay/file/gguf_semantics.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"

namespace assay {
namespace {

constexpr uint64_t kMaxBlocks = 10000;   // the deepest known models have about 200
constexpr uint64_t kMaxWidth = 1 << 24;  // embedding width, heads, head width

tl::unexpected<Error> wrong(const std::string& key, std::string found, std::string needed,
                            std::string cause = "corrupt, or edited by hand?") {
  return fail(ErrorCode::kBadInput, {"model: key '" + printable(key) + "'", std::move(found), std::move(needed), std::move(cause)});
}

// An array of `element` (or `also`) with `length` entries, or absent.
Status check_array(const Metadata& metadata, const std::string& key, MetaType element, MetaType also, uint64_t length) {
  const MetaValue* value = metadata.find(key);
  if (value == nullptr) return {};
  const auto* held = std::get_if<std::shared_ptr<const MetaArray>>(&value->value);
  const std::string needed = "an array of " + std::string(name_of(element)) + " is needed";
  if (held == nullptr) return wrong(key, "has type " + std::string(name_of(value->type)), needed);
  if ((*held)->element != element && (*held)->element != also)
    return wrong(key, "is an array of " + std::string(name_of((*held)->element)), needed);
  if ((*held)->size() == length) return {};
  return wrong(key, "has " + group_digits((*held)->size()) + " entries", "tokenizer.ggml.tokens has " + group_digits(length));
}

Status check_tokenizer(const Metadata& metadata) {
  ASSAY_ASSIGN(const StringList* tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  const uint64_t count = tokens == nullptr ? 0 : tokens->size();
  if (tokens != nullptr && count == 0) return wrong("tokenizer.ggml.tokens", "is empty", "at least one token is needed");
  ASSAY_TRY(check_array(metadata, "tokenizer.ggml.scores", MetaType::kF32, MetaType::kF32, count));
  ASSAY_TRY(check_array(metadata, "tokenizer.ggml.token_type", MetaType::kI32, MetaType::kU32, count));
  ASSAY_ASSIGN([[maybe_unused]] const StringList* merges, metadata.get_strings("tokenizer.ggml.merges"));
  return {};
}

// A number from 1 to `limit`, or absent.
Result<std::optional<uint64_t>> positive(const Metadata& metadata, const std::string& key, uint64_t limit) {
  ASSAY_ASSIGN(const auto value, metadata.get_u64(key));
  if (value && (*value == 0 || *value > limit))
    return wrong(key, "is " + group_digits(*value), "1 to " + group_digits(limit) + " is possible");
  return value;
}

// Head counts: one number, or one per block (0 in blocks without attention).
Result<std::vector<uint64_t>> head_counts(const Metadata& metadata, const std::string& key) {
  const MetaValue* value = metadata.find(key);
  if (value == nullptr) return std::vector<uint64_t>();
  if (value->type != MetaType::kArray) {
    ASSAY_ASSIGN(const auto single, positive(metadata, key, kMaxWidth));
    return std::vector<uint64_t>{single.value_or(1)};
  }
  ASSAY_ASSIGN(const auto numbers, metadata.get_i64s(key));
  std::vector<uint64_t> counts;
  for (const int64_t number : numbers.value_or(std::vector<int64_t>())) {
    if (number < 0 || number > static_cast<int64_t>(kMaxWidth))
      return wrong(key, "holds " + std::to_string(number), "0 to " + group_digits(kMaxWidth) + " is possible");
    counts.push_back(static_cast<uint64_t>(number));
  }
  if (std::ranges::all_of(counts, [](uint64_t n) { return n == 0; }))
    return wrong(key, "is 0 for every block", "the file has attention tensors");
  return counts;
}

Status check_blocks(const std::string& key, const Metadata& metadata, std::span<const TensorInfo> tensors) {
  ASSAY_ASSIGN(const auto declared, positive(metadata, key, kMaxBlocks));
  std::vector<bool> present;
  for (const TensorInfo& tensor : tensors) {
    const int layer = role_of(tensor.name).layer;
    if (layer < 0) continue;
    if (static_cast<uint64_t>(layer) >= kMaxBlocks) {
      return fail(ErrorCode::kBadInput, {"model: tensor '" + printable(tensor.name) + "'", "belongs to block " + std::to_string(layer),
                                         "at most " + group_digits(kMaxBlocks) + " blocks are possible", ""});
    }
    if (present.size() <= static_cast<size_t>(layer)) present.resize(static_cast<size_t>(layer) + 1);
    present[static_cast<size_t>(layer)] = true;
  }
  if (present.empty()) return {};  // a vocabulary, or blocks by other names
  if (!declared) return wrong(key, "is missing", "the tensors have " + std::to_string(present.size()) + " blocks");
  const auto gap = static_cast<size_t>(std::ranges::find(present, false) - present.begin());
  if (gap < present.size())
    return wrong(key, "is " + std::to_string(*declared), "there is no tensor of block " + std::to_string(gap), "tensors missing?");
  if (present.size() == *declared) return {};
  return wrong(key, "is " + std::to_string(*declared), "the tensors have " + std::to_string(present.size()) + " blocks",
               "tensors missing or left over?");
}

Status check_attention(const std::string& arch, const Metadata& metadata) {
  ASSAY_ASSIGN(const auto width, positive(metadata, arch + ".embedding_length", kMaxWidth));
  const std::string heads_key = arch + ".attention.head_count";
  ASSAY_ASSIGN(const std::vector<uint64_t> heads, head_counts(metadata, heads_key));
  ASSAY_ASSIGN(const std::vector<uint64_t> kv_heads, head_counts(metadata, heads_key + "_kv"));
  ASSAY_ASSIGN(const auto key_width, positive(metadata, arch + ".attention.key_length", kMaxWidth));
  ASSAY_TRY(positive(metadata, arch + ".attention.value_length", kMaxWidth).map([](auto) {}));
  for (size_t i = 0; i < heads.size(); ++i) {
    if (heads[i] == 0) continue;
    if (width && !key_width && *width % heads[i] != 0) {
      return wrong(heads_key, "is " + group_digits(heads[i]),
                   "it must divide the embedding width " + group_digits(*width) + " (or " + arch + ".attention.key_length must be given)");
    }
    if (kv_heads.size() != 1 && kv_heads.size() != heads.size()) continue;  // absent, or per block for one count
    const uint64_t shared = kv_heads[kv_heads.size() == 1 ? 0 : i];
    if (shared != 0 && heads[i] % shared != 0)
      return wrong(heads_key + "_kv", "is " + group_digits(shared), "it must divide the head count " + group_digits(heads[i]));
  }
  return {};
}

}  // namespace

Status check_model_semantics(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  ASSAY_TRY(check_tokenizer(metadata));
  ASSAY_ASSIGN(const auto arch, metadata.get_string("general.architecture"));
  if (!arch || arch->empty())
    return wrong("general.architecture", arch ? "is empty" : "is missing", "it says what kind of model this is", "not a model?");
  ASSAY_TRY(check_blocks(*arch + ".block_count", metadata, tensors));
  const bool attends = std::ranges::any_of(tensors, [](const TensorInfo& tensor) { return is_attention(role_of(tensor.name).role); });
  return attends ? check_attention(*arch, metadata) : Status{};
}

}  // namespace assay
