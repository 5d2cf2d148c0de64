#include <vector>

#include "assay/codes/octet_kernels.h"
#include "assay/codes/row_codes.h"

namespace assay::codes {
namespace {

class GridRowCodes final : public RowCodes {
 public:
  GridRowCodes(const RowBytes& rows, const GridFormat& format)
      : rows_(rows), format_(format), blocks_(static_cast<size_t>(rows.padded_rows() * rows.blocks())) {}

  void read(Place place, Strip& strip) override {
    float values[kColumns];
    for (int lane = 0; lane < kRows; ++lane) {
      std::fill_n(values, kColumns, 0.0f);
      if (const int64_t row = place.first_row + lane; row < rows_.rows) {
        const std::byte* bytes = rows_.at(row, place.block * kColumns);
        format_.unpack(bytes, at(place)[static_cast<size_t>(lane)]);
        rows_.codec->decode(bytes, kColumns, values);
      }
      for (int j = 0; j < kColumns; ++j) strip.v[j][lane] = values[j];
    }
  }

  void write(Place place) const override {
    for (int lane = 0; lane < kRows; ++lane)
      if (const int64_t row = place.first_row + lane; row < rows_.rows)
        format_.pack(blocks_[index(place) + static_cast<size_t>(lane)], rows_.at(row, place.block * kColumns));
  }

  void feedback(Place place, const Moments& moments, Strip& strip) override { codes::feedback(format_, moments, at(place), strip); }

  void descend(Place place, const Moments& moments, Strip& strip) override {
    descend_scales(format_, moments, at(place), strip);
    descend_codes(format_, moments, at(place), strip);
  }

  void keep() override { kept_ = blocks_; }
  void restore(int64_t row) override {
    for (int64_t b = 0; b < rows_.blocks(); ++b) {
      const size_t i = index({b, row});
      blocks_[i] = kept_[i];
    }
  }

 private:
  size_t index(Place place) const { return static_cast<size_t>(place.block * rows_.padded_rows() + place.first_row); }
  SuperBlocks at(Place place) { return SuperBlocks(&blocks_[index(place)], kRows); }

  RowBytes rows_;
  const GridFormat& format_;
  std::vector<GridBlock> blocks_, kept_;  // [block of columns][row]
};

}  // namespace

bool has_grid_codes(const Codec& codec) { return find_grid_format(codec.info->type) != nullptr; }

std::unique_ptr<RowCodes> make_grid_codes(const RowBytes& rows) {
  const GridFormat* format = find_grid_format(rows.codec->info->type);
  return format == nullptr ? nullptr : std::make_unique<GridRowCodes>(rows, *format);
}

}  // namespace assay::codes
