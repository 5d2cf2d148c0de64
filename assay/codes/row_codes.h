// The codes and scales of rows at hand: what encode_codes.h needs of a kind of format, codes per weight (scalar_row_codes.cpp) or per octet
// (grid_row_codes.cpp). Work comes a block of columns and sixteen rows at a time; different places may be worked on by several threads.
// Torch-free. Non-goals: products between blocks of columns, errors of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "assay/codes/column_kernels.h"
#include "assay/quant/codec.h"

namespace assay::codes {

// The rows' bytes, encoded: read once and written once.
struct RowBytes {
  const Codec* codec = nullptr;
  std::span<std::byte> bytes;
  int64_t rows = 0, width = 0;

  int64_t padded_rows() const { return (rows + kRows - 1) / kRows * kRows; }  // the rows added are zeros
  int64_t blocks() const { return (width + kColumns - 1) / kColumns; }
  int columns(int64_t block) const;
  // Where the format's block with this column begins.
  std::byte* at(int64_t row, int64_t column) const;
};

struct Place {
  int64_t block = 0, first_row = 0;
};

class RowCodes {
 public:
  virtual ~RowCodes() = default;
  // From the bytes; v becomes what they decode to.
  virtual void read(Place place, Strip& strip) = 0;
  virtual void write(Place place) const = 0;
  // Error feedback: from x and what g carries over to codes, v and error.
  virtual void feedback(Place place, const Moments& moments, Strip& strip) = 0;
  // A sweep of descent over scales and codes: from x, v and g to codes, scales, v; error grows by what the error fell.
  virtual void descend(Place place, const Moments& moments, Strip& strip) = 0;
  // Remembers all rows as they are; takes one of them back to that.
  virtual void keep() = 0;
  virtual void restore(int64_t row) = 0;
};

// nullptr: the format has no codes of the kind.
std::unique_ptr<RowCodes> make_scalar_codes(const RowBytes& rows);
std::unique_ptr<RowCodes> make_grid_codes(const RowBytes& rows);
bool has_scalar_codes(const Codec& codec);
bool has_grid_codes(const Codec& codec);

}  // namespace assay::codes
