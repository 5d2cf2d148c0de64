#include "assay/file/sequential_reader.h"

#include <algorithm>

#include "assay/base/text.h"

namespace assay {

namespace {
constexpr uint64_t kPieceBytes = uint64_t{1} << 20;
}

Result<std::string_view> SequentialReader::take(uint64_t length, const char* field) {
  if (buffer_.size() - used_ < length) {
    if (remaining() < length) {
      return broken(ErrorCode::kBadInput, offset(), field, "needs " + group_digits(length) + " bytes",
                    group_digits(remaining()) + " are left of " + group_digits(source_.size()), "truncated download, or a corrupt length?");
    }
    ASSAY_TRY(refill(length));
  }
  const std::string_view bytes(reinterpret_cast<const char*>(buffer_.data()) + used_, length);
  used_ += length;
  return bytes;
}

// Keeps what was not taken and reads on until at least `length` bytes are there; the caller knows that they exist.
Status SequentialReader::refill(uint64_t length) {
  const uint64_t available = remaining();
  const size_t kept = buffer_.size() - used_;
  std::vector<std::byte> next(std::min(available, std::max(length, kPieceBytes)));
  std::copy(buffer_.begin() + static_cast<ptrdiff_t>(used_), buffer_.end(), next.begin());
  ASSAY_TRY(source_.read(offset() + kept, std::span(next).subspan(kept)));
  buffer_offset_ += used_;
  used_ = 0;
  buffer_ = std::move(next);
  return {};
}

tl::unexpected<Error> SequentialReader::broken(ErrorCode code, uint64_t at, std::string_view field, std::string found, std::string needed,
                                               std::string cause) const {
  std::string who = format_ + ": " + source_.name() + ": ";
  if (!subject_.empty()) who += subject_ + ": ";
  return fail(code, {who + std::string(field) + " at byte " + group_digits(at), std::move(found), std::move(needed), std::move(cause)});
}

}  // namespace assay
