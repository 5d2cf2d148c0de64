// Split models: "x-00001-of-00003.gguf" and its siblings seen as one file. Keys: split.no (from 0), split.count, split.tensors.count.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/gguf.h"

namespace assay {
namespace {

constexpr uint64_t kMaxParts = 65535;  // split.count is a u16

struct SplitKeys {
  uint64_t number = 0;  // from 0
  uint64_t count = 1;
  std::optional<uint64_t> tensors;  // of all parts
};

Result<SplitKeys> split_keys(const Gguf& file) {
  SplitKeys keys;
  ASSAY_ASSIGN(const auto number, file.metadata().get_u64("split.no"));
  ASSAY_ASSIGN(const auto count, file.metadata().get_u64("split.count"));
  ASSAY_ASSIGN(keys.tensors, file.metadata().get_u64("split.tensors.count"));
  keys.number = number.value_or(0);
  keys.count = count.value_or(1);
  return keys;
}

std::string suffix_of(uint64_t number, uint64_t count) { return fmt::format("-{:05d}-of-{:05d}.gguf", number + 1, count); }

tl::unexpected<Error> broken_split(ErrorCode code, const std::string& path, std::string found, std::string needed, std::string cause) {
  return fail(code, {"gguf: " + path + ": split file", std::move(found), std::move(needed), std::move(cause)});
}

}  // namespace

Result<Gguf> Gguf::open(const std::string& path) {
  ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
  ASSAY_ASSIGN(Gguf whole, parse(std::move(source)));
  ASSAY_ASSIGN(const SplitKeys first, split_keys(whole));
  if (first.count <= 1) return whole;

  if (first.count > kMaxParts || first.number >= first.count) {
    return broken_split(ErrorCode::kBadInput, path, fmt::format("says it is part {} of {}", first.number + 1, first.count),
                        "at most 65,535 parts are possible", "corrupt header");
  }
  const std::string suffix = suffix_of(first.number, first.count);
  if (!path.ends_with(suffix)) {
    return broken_split(ErrorCode::kBadInput, path, fmt::format("is part {} of {}", first.number + 1, first.count),
                        "its name must end in '" + suffix + "' so that the other parts can be found", "renamed?");
  }
  const std::string stem = path.substr(0, path.size() - suffix.size());
  if (first.number != 0) {
    return broken_split(ErrorCode::kUsage, path, fmt::format("is part {} of {}", first.number + 1, first.count),
                        "open the first part: " + stem + suffix_of(0, first.count), "");
  }
  for (uint64_t number = 1; number < first.count; ++number) {
    const std::string part_path = stem + suffix_of(number, first.count);
    auto part_source = open_file(part_path);
    if (!part_source) {
      return broken_split(part_source.error().code, path, fmt::format("has {} parts", first.count), part_source.error().message,
                          "a part is missing?");
    }
    ASSAY_ASSIGN(Gguf part, parse(std::move(*part_source)));
    ASSAY_ASSIGN(const SplitKeys keys, split_keys(part));
    if (keys.number != number || keys.count != first.count) {
      return broken_split(ErrorCode::kMismatch, part_path, fmt::format("says it is part {} of {}", keys.number + 1, keys.count),
                          fmt::format("part {} of {} is needed", number + 1, first.count), "a part repeated, renamed or of another model?");
    }
    for (TensorInfo& tensor : part.tensors_) {
      tensor.part = static_cast<uint32_t>(number);
      if (!whole.index_.emplace(tensor.name, whole.tensors_.size()).second) {
        return broken_split(ErrorCode::kBadInput, part_path, "holds tensor '" + printable(tensor.name) + "' again",
                            "an earlier part has it", "a part repeated?");
      }
      whole.tensors_.push_back(std::move(tensor));
    }
    for (const std::string& warning : part.warnings_) whole.warnings_.push_back(part_path + ": " + warning);
    whole.parts_.push_back(std::move(part.parts_.front()));
  }
  if (first.tensors && *first.tensors != whole.tensors_.size()) {
    return broken_split(ErrorCode::kBadInput, path, "has " + group_digits(whole.tensors_.size()) + " tensors in all its parts",
                        group_digits(*first.tensors) + " are promised by split.tensors.count", "a part of another version?");
  }
  return whole;
}

}  // namespace assay
