// How rows of a type are read into strips, improved there and written back: what encode_codes.h needs of a kind of format, codes per weight
// (scalar_row_codes.cpp) or per octet (grid_row_codes.cpp). Different places may be worked on by several threads. Torch-free.
// Non-goals: products between blocks of columns, errors of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "assay/codes/column_kernels.h"
#include "assay/quant/codec.h"

namespace assay::codes {

// A matrix's bytes, encoded.
struct RowBytes {
  const Codec* codec = nullptr;
  std::span<std::byte> bytes;
  int64_t rows = 0, width = 0;

  int64_t blocks() const { return (width + kColumns - 1) / kColumns; }
  int columns(int64_t block) const;
  // Where the format's block with this column begins.
  std::byte* at(int64_t row, int64_t column) const;
  // Decoded values of a row's block of columns, [columns].
  void decode(int64_t row, int64_t block, float* values) const;
};

// A block of columns of the rows from first_row on, kRows of them or those that are left.
struct Place {
  int64_t block = 0, first_row = 0;
};

class RowCodes {
 public:
  explicit RowCodes(const RowBytes& rows) : rows_(rows) {}
  virtual ~RowCodes() = default;
  // Scales and v as the bytes have them; 0 in lanes without a row.
  virtual void read(Place place, Strip& strip) = 0;
  // One lane's codes and v as the bytes still have them; feedback leaves scales alone.
  virtual void restore(Place place, int lane, Strip& strip) = 0;
  // To the bytes, codes that feedback has chosen or restore() has read.
  virtual void write(Place place, const Strip& strip) const = 0;
  // Error feedback: from x and what g carries over to codes, v and error.
  virtual void feedback(Place place, const Moments& moments, Strip& strip) = 0;
  // A sweep of descent over scales and codes: from x, v and g to codes, scales, v; error grows by what the error fell.
  virtual void descend(Place place, const Moments& moments, Strip& strip) = 0;

 protected:
  int lanes(Place place) const { return static_cast<int>(std::min<int64_t>(kRows, rows_.rows - place.first_row)); }

  RowBytes rows_;
};

// nullptr: the format has no codes of the kind.
std::unique_ptr<RowCodes> make_scalar_codes(const RowBytes& rows);
std::unique_ptr<RowCodes> make_grid_codes(const RowBytes& rows);
bool has_scalar_codes(const Codec& codec);
bool has_grid_codes(const Codec& codec);

}  // namespace assay::codes
