#include "assay/file/gguf.h"

#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/gguf_header.h"

namespace assay {

Result<Gguf> Gguf::parse(std::shared_ptr<ByteSource> source) {
  ASSAY_ASSIGN(GgufHeader header, read_gguf_header(*source));
  Gguf file;
  file.version_ = header.version;
  file.alignment_ = header.alignment;
  file.metadata_ = std::move(header.metadata);
  file.tensors_ = std::move(header.tensors);
  file.index_ = std::move(header.index);
  file.warnings_ = std::move(header.warnings);
  file.parts_.push_back({std::move(source), header.data_offset});
  return file;
}

const TensorInfo* Gguf::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

uint64_t Gguf::file_bytes() const {
  uint64_t total = 0;
  for (const Part& part : parts_) total += part.source->size();
  return total;
}

std::vector<std::string> Gguf::paths() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) names.push_back(part.source->name());
  return names;
}

Status Gguf::read(const TensorInfo& tensor, uint64_t begin, std::span<std::byte> out) const {
  if (!(CheckedSize(begin) + out.size()).fits(tensor.bytes)) {
    return fail(ErrorCode::kInternal, {"gguf: tensor '" + printable(tensor.name) + "'", "was asked for bytes past its end",
                                       "it has " + group_digits(tensor.bytes) + " bytes", ""});
  }
  const Part& part = parts_[tensor.part];
  return part.source->read(part.data_offset + tensor.offset + begin, out);
}

Result<std::vector<std::byte>> Gguf::read(const TensorInfo& tensor) const {
  std::vector<std::byte> bytes(tensor.bytes);
  ASSAY_TRY(read(tensor, 0, bytes));
  return bytes;
}

std::span<const std::byte> Gguf::view(const TensorInfo& tensor) const {
  const Part& part = parts_[tensor.part];
  return part.source->view(part.data_offset + tensor.offset, tensor.bytes);
}

}  // namespace assay
