#include "assay/score/curvature_parts.h"

#include <fmt/format.h>

#include "assay/base/payload.h"

namespace assay {

Result<std::string> to_payload(const CurvatureParts& parts) {
  PayloadWriter writer;
  writer.add(uint64_t{parts.size()});
  for (const CurvaturePart& part : parts) {
    writer.add(std::span<const double>(part.damage), "damage");
    writer.add(std::span<const float>(part.terms), "term");
  }
  return std::move(writer).finish();
}

Result<CurvatureParts> curvature_parts_from_payload(std::string_view payload, size_t cells, size_t windows) {
  PayloadReader reader(payload);
  CurvatureParts parts;
  bool whole = reader.number() == cells;
  for (size_t c = 0; whole && !reader.failed() && c < cells; ++c) {
    CurvaturePart part;
    part.damage = reader.reals();
    part.terms = reader.floats();
    whole = part.damage.size() == windows;
    parts.push_back(std::move(part));
  }
  if (!whole) return fail(ErrorCode::kBadInput, "journal: a unit of the curvature table has another number of types or windows");
  ASSAY_TRY(reader.finish());
  return parts;
}

std::string curvature_unit(std::string_view matrix, size_t begin, size_t count, uint32_t sample) {
  return fmt::format("{} {}+{} draw {}", matrix, begin, count, sample);
}

}  // namespace assay
