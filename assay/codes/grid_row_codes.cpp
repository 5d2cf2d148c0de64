#include <vector>

#include "assay/codes/octet_kernels.h"
#include "assay/codes/row_codes.h"

namespace assay::codes {
namespace {

class GridRowCodes final : public RowCodes {
 public:
  GridRowCodes(const RowBytes& rows, const GridFormat& format)
      : RowCodes(rows),
        format_(format),
        padded_rows_((rows.rows + kRows - 1) / kRows * kRows),
        blocks_(static_cast<size_t>(padded_rows_ * rows.blocks())) {}

  void read(Place place, Strip& strip) override {
    for (int lane = 0; lane < lanes(place); ++lane) restore(place, lane, strip);
    for (int lane = lanes(place); lane < kRows; ++lane)
      for (auto& v : strip.v) v[lane] = 0;
  }

  void restore(Place place, int lane, Strip& strip) override {
    const int64_t row = place.first_row + lane;
    format_.unpack(rows_.at(row, place.block * kColumns), at(place)[static_cast<size_t>(lane)]);
    float values[kColumns];
    rows_.decode(row, place.block, values);
    for (int j = 0; j < kColumns; ++j) strip.v[j][lane] = values[j];
  }

  void write(Place place, const Strip&) const override {
    for (int lane = 0; lane < lanes(place); ++lane)
      format_.pack(blocks_[index(place) + static_cast<size_t>(lane)], rows_.at(place.first_row + lane, place.block * kColumns));
  }

  void feedback(Place place, const Moments& moments, Strip& strip) override { codes::feedback(format_, moments, at(place), strip); }

  void descend(Place place, const Moments& moments, Strip& strip) override {
    descend_scales(format_, moments, at(place), strip);
    descend_codes(format_, moments, at(place), strip);
  }

 private:
  size_t index(Place place) const { return static_cast<size_t>(place.block * padded_rows_ + place.first_row); }
  SuperBlocks at(Place place) { return SuperBlocks(&blocks_[index(place)], kRows); }

  const GridFormat& format_;
  int64_t padded_rows_;
  std::vector<GridBlock> blocks_;  // [block of columns][row]
};

}  // namespace

bool has_grid_codes(const Codec& codec) { return find_grid_format(codec.info->type) != nullptr; }

std::unique_ptr<RowCodes> make_grid_codes(const RowBytes& rows) {
  const GridFormat* format = find_grid_format(rows.codec->info->type);
  return format == nullptr ? nullptr : std::make_unique<GridRowCodes>(rows, *format);
}

}  // namespace assay::codes
