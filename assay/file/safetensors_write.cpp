#include "assay/file/safetensors_write.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "assay/base/checked.h"
#include "assay/base/text.h"

namespace assay {
namespace {

constexpr uint64_t kAlignment = 8;  // of the data's begin, as the format's own library has it

struct Place {
  uint64_t begin = 0, elements = 0;  // begin: of the file
  bool written = false;
};

tl::unexpected<Error> misused(std::string_view name, const std::string& how) {
  return fail(ErrorCode::kInternal, "safetensors: '" + printable(std::string(name)) + "' " + how);
}

}  // namespace

struct SafetensorsWriter::State {
  AtomicWriter file;
  std::unordered_map<std::string, Place> places;
  uint64_t bytes = 0;
};

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path, std::span<const SafetensorShape> tensors,
                                                    const std::map<std::string, std::string>& metadata, const OutputOptions& options) {
  nlohmann::ordered_json tree = {{"__metadata__", metadata}};
  std::unordered_map<std::string, Place> places;
  CheckedSize at = 0;
  for (const SafetensorShape& tensor : tensors) {
    CheckedSize elements = 1;
    for (const uint64_t dim : tensor.shape) elements = elements * dim;
    const CheckedSize end = at + elements * sizeof(float);
    if (!end.valid()) return misused(tensor.name, "has a size that overflows");
    if (!places.try_emplace(tensor.name, Place{*at.value(), *elements.value()}).second) return misused(tensor.name, "is given twice");
    tree[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {*at.value(), *end.value()}}};
    at = end;
  }
  std::string header = tree.dump();
  header.append((kAlignment - header.size() % kAlignment) % kAlignment, ' ');
  const uint64_t length = header.size(), data = sizeof length + length;
  for (auto& [name, place] : places) place.begin += data;
  OutputOptions sized = options;
  sized.expected_bytes = data + *at.value();
  ASSAY_ASSIGN(AtomicWriter file, AtomicWriter::create(path, sized));
  ASSAY_TRY(file.write(std::as_bytes(std::span(&length, 1))));
  ASSAY_TRY(file.write(header));
  return SafetensorsWriter(std::make_unique<State>(State{std::move(file), std::move(places), sized.expected_bytes}));
}

Status SafetensorsWriter::write(std::string_view name, std::span<const float> values) {
  const auto found = state_->places.find(std::string(name));
  if (found == state_->places.end()) return misused(name, "was not announced");
  Place& place = found->second;
  if (place.written) return misused(name, "is written twice");
  if (place.elements != values.size()) return misused(name, "has another size than announced");
  ASSAY_TRY(state_->file.write_at(place.begin, std::as_bytes(values)));
  place.written = true;
  return {};
}

uint64_t SafetensorsWriter::bytes() const { return state_->bytes; }

Status SafetensorsWriter::commit() {
  for (const auto& [name, place] : state_->places)
    if (!place.written) return misused(name, "was announced and not written");
  return state_->file.commit();
}

}  // namespace assay
