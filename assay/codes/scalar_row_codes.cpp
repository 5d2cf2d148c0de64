#include <algorithm>
#include <vector>

#include "assay/codes/row_codes.h"

namespace assay::codes {
namespace {

// The codes of a block of columns of all rows.
struct Columns {
  std::vector<int8_t> code;                           // [rows, columns]
  std::vector<float> scale, minimum, unit, min_unit;  // [groups, rows]
};

class ScalarRowCodes final : public RowCodes {
 public:
  ScalarRowCodes(const RowBytes& rows, const ScaleLayout& layout)
      : rows_(rows), layout_(layout), padded_(rows.padded_rows()), columns_(static_cast<size_t>(rows.blocks())) {
    for (int64_t b = 0; b < rows.blocks(); ++b) {
      Columns& block = columns_[static_cast<size_t>(b)];
      block.code.resize(static_cast<size_t>(padded_ * rows.columns(b)));
      for (std::vector<float>* table : {&block.scale, &block.minimum, &block.unit, &block.min_unit})
        table->resize(static_cast<size_t>(padded_ * groups(b)));
    }
  }

  void read(Place place, Strip& strip) override {
    Columns& columns = columns_[static_cast<size_t>(place.block)];
    for_formats(place, [&](int64_t row, int64_t column, const std::byte* bytes) {
      BlockScales scales;
      layout_.read(bytes, scales);
      for (int64_t g = 0; g < layout_.groups(); ++g) {
        const auto at = static_cast<size_t>((column / layout_.group + g) * padded_ + row);
        columns.unit[at] = scales.unit;
        columns.min_unit[at] = scales.min_unit;
        columns.scale[at] = scales.scale[static_cast<size_t>(g)];
        columns.minimum[at] = scales.minimum[static_cast<size_t>(g)];
      }
      int8_t* code = columns.code.data() + row * rows_.columns(place.block) + column;
      for (uint32_t i = 0; i < layout_.block; ++i) code[i] = static_cast<int8_t>(rows_.codec->codes->get(bytes, i));
    });
    load(place, strip);
    decode(layout_, rows_.columns(place.block), strip);
  }

  void write(Place place) const override {
    const Columns& columns = columns_[static_cast<size_t>(place.block)];
    for_formats(place, [&](int64_t row, int64_t column, std::byte* bytes) {
      BlockScales scales;
      for (int64_t g = 0; g < layout_.groups(); ++g) {
        const auto at = static_cast<size_t>((column / layout_.group + g) * padded_ + row);
        scales.unit = columns.unit[at];
        scales.min_unit = columns.min_unit[at];
        scales.scale[static_cast<size_t>(g)] = columns.scale[at];
        scales.minimum[static_cast<size_t>(g)] = columns.minimum[at];
      }
      layout_.write(bytes, scales);
      const int8_t* code = columns.code.data() + row * rows_.columns(place.block) + column;
      for (uint32_t i = 0; i < layout_.block; ++i) rows_.codec->codes->set(bytes, i, code[i]);
    });
  }

  void feedback(Place place, const Moments& moments, Strip& strip) override {
    load(place, strip);
    codes::feedback(layout_, moments, strip);
    store(strip, place);
  }

  void descend(Place place, const Moments& moments, Strip& strip) override {
    load(place, strip);
    descend_scales(layout_, moments, strip);
    descend_codes(layout_, moments, strip);
    decode(layout_, moments.columns, strip);
    store(strip, place);
  }

  // Feedback changes codes only.
  void keep() override {
    kept_.clear();
    for (const Columns& block : columns_) kept_.push_back(block.code);
  }
  void restore(int64_t row) override {
    for (int64_t b = 0; b < rows_.blocks(); ++b) {
      const int64_t columns = rows_.columns(b);
      std::copy_n(kept_[static_cast<size_t>(b)].data() + row * columns, columns,
                  columns_[static_cast<size_t>(b)].code.data() + row * columns);
    }
  }

 private:
  int64_t groups(int64_t block) const { return rows_.columns(block) / layout_.group; }

  // body(row, column within the block of columns, bytes) for every block of the format at the place.
  template <class Body>
  void for_formats(Place place, const Body& body) const {
    const int64_t end = std::min(place.first_row + kRows, rows_.rows);
    for (int64_t row = place.first_row; row < end; ++row)
      for (int64_t column = 0; column < rows_.columns(place.block); column += layout_.block)
        body(row, column, rows_.at(row, place.block * kColumns + column));
  }

  void load(Place place, Strip& strip) const {
    const Columns& block = columns_[static_cast<size_t>(place.block)];
    const int columns = rows_.columns(place.block);
    for (int lane = 0; lane < kRows; ++lane) {
      const int8_t* code = block.code.data() + (place.first_row + lane) * columns;
      for (int j = 0; j < columns; ++j) strip.code[j][lane] = code[j];
    }
    const auto rows_of = [&](const std::vector<float>& table, float(&to)[kMaxGroups][kRows]) {
      for (int64_t g = 0; g < groups(place.block); ++g) std::copy_n(table.data() + g * padded_ + place.first_row, kRows, to[g]);
    };
    rows_of(block.scale, strip.scale);
    rows_of(block.minimum, strip.minimum);
    rows_of(block.unit, strip.unit);
    rows_of(block.min_unit, strip.min_unit);
  }

  void store(const Strip& strip, Place place) {
    Columns& block = columns_[static_cast<size_t>(place.block)];
    const int columns = rows_.columns(place.block);
    for (int lane = 0; lane < kRows; ++lane) {
      int8_t* code = block.code.data() + (place.first_row + lane) * columns;
      for (int j = 0; j < columns; ++j) code[j] = static_cast<int8_t>(strip.code[j][lane]);
    }
    const auto rows_to = [&](const float(&from)[kMaxGroups][kRows], std::vector<float>& table) {
      for (int64_t g = 0; g < groups(place.block); ++g) std::copy_n(from[g], kRows, table.data() + g * padded_ + place.first_row);
    };
    rows_to(strip.scale, block.scale);
    rows_to(strip.minimum, block.minimum);
    rows_to(strip.unit, block.unit);
    rows_to(strip.min_unit, block.min_unit);
  }

  RowBytes rows_;
  const ScaleLayout& layout_;
  int64_t padded_;
  std::vector<Columns> columns_;
  std::vector<std::vector<int8_t>> kept_;
};

}  // namespace

int RowBytes::columns(int64_t block) const { return static_cast<int>(std::min<int64_t>(kColumns, width - block * kColumns)); }

std::byte* RowBytes::at(int64_t row, int64_t column) const {
  const int64_t row_bytes = static_cast<int64_t>(bytes.size()) / rows;
  return bytes.data() + row * row_bytes + column / codec->info->block_size * codec->info->block_bytes;
}

bool has_scalar_codes(const Codec& codec) { return codec.codes != nullptr && find_scale_layout(codec.info->type) != nullptr; }

std::unique_ptr<RowCodes> make_scalar_codes(const RowBytes& rows) {
  if (!has_scalar_codes(*rows.codec)) return nullptr;
  return std::make_unique<ScalarRowCodes>(rows, *find_scale_layout(rows.codec->info->type));
}

}  // namespace assay::codes
