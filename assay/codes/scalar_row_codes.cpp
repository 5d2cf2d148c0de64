#include "assay/codes/row_codes.h"

namespace assay::codes {
namespace {

// Codes and scales lie in the strips.
class ScalarRowCodes final : public RowCodes {
 public:
  ScalarRowCodes(const RowBytes& rows, const ScaleLayout& layout) : RowCodes(rows), layout_(layout) {}

  void read(Place place, Strip& strip) override {
    const int columns = rows_.columns(place.block);
    for (int lane = 0; lane < kRows; ++lane) {
      const bool row = lane < lanes(place);
      float values[kColumns] = {};
      if (row) rows_.decode(place.first_row + lane, place.block, values);
      for (int j = 0; j < columns; ++j) strip.v[j][lane] = values[j];
      for_formats(place, lane, [&](int column, const std::byte* bytes) {
        BlockScales scales;
        if (row) layout_.read(bytes, scales);
        for (uint32_t g = 0; g < layout_.groups(); ++g) {
          const uint32_t at = static_cast<uint32_t>(column) / layout_.group + g;
          strip.unit[at][lane] = scales.unit;
          strip.min_unit[at][lane] = scales.min_unit;
          strip.scale[at][lane] = scales.scale[g];
          strip.minimum[at][lane] = scales.minimum[g];
        }
      });
    }
  }

  void restore(Place place, int lane, Strip& strip) override {
    float values[kColumns];
    rows_.decode(place.first_row + lane, place.block, values);
    for (int j = 0; j < rows_.columns(place.block); ++j) strip.v[j][lane] = values[j];
    for_formats(place, lane, [&](int column, const std::byte* bytes) {
      for (uint32_t i = 0; i < layout_.block; ++i) strip.code[column + i][lane] = static_cast<float>(rows_.codec->codes->get(bytes, i));
    });
  }

  void write(Place place, const Strip& strip) const override {
    for (int lane = 0; lane < lanes(place); ++lane) {
      for_formats(place, lane, [&](int column, std::byte* bytes) {
        BlockScales scales;
        for (uint32_t g = 0; g < layout_.groups(); ++g) {
          const uint32_t at = static_cast<uint32_t>(column) / layout_.group + g;
          scales.unit = strip.unit[at][lane];
          scales.min_unit = strip.min_unit[at][lane];
          scales.scale[g] = strip.scale[at][lane];
          scales.minimum[g] = strip.minimum[at][lane];
        }
        layout_.write(bytes, scales);
        for (uint32_t i = 0; i < layout_.block; ++i) rows_.codec->codes->set(bytes, i, static_cast<int>(strip.code[column + i][lane]));
      });
    }
  }

  void feedback(Place, const Moments& moments, Strip& strip) override { codes::feedback(layout_, moments, strip); }

  void descend(Place, const Moments& moments, Strip& strip) override {
    descend_scales(layout_, moments, strip);
    descend_codes(layout_, moments, strip);
    decode(layout_, moments.columns, strip);
  }

 private:
  // body(column within the block of columns, bytes) for every block of the format in a row of the place.
  template <class Body>
  void for_formats(Place place, int lane, const Body& body) const {
    for (int column = 0; column < rows_.columns(place.block); column += static_cast<int>(layout_.block))
      body(column, rows_.at(place.first_row + lane, place.block * kColumns + column));
  }

  const ScaleLayout& layout_;
};

}  // namespace

int RowBytes::columns(int64_t block) const { return static_cast<int>(std::min<int64_t>(kColumns, width - block * kColumns)); }

std::byte* RowBytes::at(int64_t row, int64_t column) const {
  const int64_t row_bytes = static_cast<int64_t>(bytes.size()) / rows;
  return bytes.data() + row * row_bytes + column / codec->info->block_size * codec->info->block_bytes;
}

void RowBytes::decode(int64_t row, int64_t block, float* values) const {
  codec->decode(at(row, block * kColumns), static_cast<uint64_t>(columns(block)), values);
}

bool has_scalar_codes(const Codec& codec) { return codec.codes != nullptr && find_scale_layout(codec.info->type) != nullptr; }

std::unique_ptr<RowCodes> make_scalar_codes(const RowBytes& rows) {
  if (!has_scalar_codes(*rows.codec)) return nullptr;
  return std::make_unique<ScalarRowCodes>(rows, *find_scale_layout(rows.codec->info->type));
}

}  // namespace assay::codes
