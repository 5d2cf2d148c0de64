#include "assay/file/block_order.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "assay/file/tensor_role.h"

namespace assay {
namespace {

// Arrays under an architecture's prefix that count something else, however many entries they have.
constexpr std::string_view kNotPerBlock[] = {"rope.dimension_sections", "classifier.output_labels"};

template <class T>
std::vector<T> picked(const std::vector<T>& values, std::span<const uint32_t> blocks) {
  std::vector<T> result;
  if (!values.empty())
    for (const uint32_t block : blocks) result.push_back(values[block]);
  return result;
}

MetaArray picked(const MetaArray& array, std::span<const uint32_t> blocks) {
  MetaArray result;
  result.element = array.element;
  result.unsigned_values = picked(array.unsigned_values, blocks);
  result.signed_values = picked(array.signed_values, blocks);
  result.real_values = picked(array.real_values, blocks);
  if (array.string_values.size() > 0)
    for (const uint32_t block : blocks) result.string_values.push_back(array.string_values[block]);
  return result;
}

}  // namespace

std::string name_in_block(std::string_view tensor, uint32_t block) {
  if (role_of(tensor).layer < 0) return std::string(tensor);
  return "blk." + std::to_string(block) + std::string(tensor.substr(tensor.find('.', 4)));
}

void order_blocks(Metadata& metadata, std::span<const uint32_t> blocks, uint32_t count) {
  const auto architecture = metadata.get_string("general.architecture");
  const std::string prefix = (architecture && *architecture ? **architecture : std::string()) + ".";
  std::vector<Metadata::Entry> changed;
  for (const Metadata::Entry& entry : metadata.entries()) {
    const auto* held = std::get_if<std::shared_ptr<const MetaArray>>(&entry.value.value);
    if (held == nullptr || !entry.key.starts_with(prefix) || (*held)->size() != count) continue;
    if (std::find(std::begin(kNotPerBlock), std::end(kNotPerBlock), std::string_view(entry.key).substr(prefix.size())) !=
        std::end(kNotPerBlock))
      continue;
    MetaValue value = entry.value;
    value.value = std::make_shared<const MetaArray>(picked(**held, blocks));
    changed.push_back({entry.key, std::move(value)});
  }
  for (Metadata::Entry& entry : changed) metadata.set(entry.key, std::move(entry.value));
  metadata.set(prefix + "block_count", MetaValue::u32(static_cast<uint32_t>(blocks.size())));
}

}  // namespace assay
