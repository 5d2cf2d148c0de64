// The smallest changes of encoded weights: one weight's code by one level (methods.md 2.2), one stored byte by a number modulo 256
// (methods.md 2.3), what either does to the decoded weights, and the size of a level at every weight. docs/types.md has the table per type.
// A row is any number of whole blocks. Edits are in place: undo by keeping the block's bytes. Pure functions, no threads.
// Non-goals: choosing what to edit; codes beyond one level (CodeAccess in codec.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

// One weight of a row, as the decoder gives it before and after.
struct DecodedChange {
  uint64_t weight = 0;  // in the row
  float before = 0, after = 0;

  float change() const { return after - before; }
};

enum class CodeMoveKind : uint8_t {
  kNone,       // the type has no codes: F32, F16, BF16, F64, and what is never stored
  kLevel,      // the weight's code to the next one; no other weight changes
  kSign,       // IQ2, IQ3: the weight's sign; with it a second one where the format wants an even number of negatives among eight
  kGridPoint,  // IQ1: to the grid point whose level of this weight is one higher or lower and whose other levels change least
};
CodeMoveKind code_move_kind(GgmlType type);

struct CodeMove {
  bool saturated = false;              // there is no code that way: nothing was changed
  std::vector<DecodedChange> changes;  // the weight asked for comes first, also where its scale is 0 and its value stays; then companions
};

// Moves the code of one weight up (direction 1) or down (-1); scales and all other codes keep their bits. Up is towards larger codes: under
// a negative scale the weight gets smaller. A sign's codes are - and +: each can move one way only.
// kSign's companion: of the other seven weights of the octet the one of least magnitude, the first of equals.
// Up and then down gives the bytes back but for kGridPoint, a -0 of FP4 (it becomes +0), and TQ1_0 bytes that no encoder writes.
// Errors: kUnsupported "has no codes"; kUsage for a weight past the end or a direction that is neither; kInternal for broken blocks.
Result<CodeMove> move_code(GgmlType type, std::span<std::byte> row, uint64_t weight, int direction);

// What move_code would do to every weight itself (not to companions), bit for bit its change(): up[i] for direction 1, down[i] for -1.
// 0: nothing would change, because the code is saturated or its scale is 0. Not finite under scales that are not.
// Errors: kUnsupported "has no codes"; kInternal where up and down do not have one entry per weight.
Status code_steps(GgmlType type, std::span<const std::byte> row, std::span<float> up, std::span<float> down);

// Bytes of a block that hold the same kind of thing: `bytes` bytes from `first`, again every `period` bytes, `repeats` times.
struct ByteRegion {
  std::string_view name;  // unique within the type: "codes", "high bits", "sub-scales", "block scale", ...
  uint16_t first = 0, bytes = 0, period = 0, repeats = 1;

  bool holds(uint64_t byte_of_block) const;
  uint32_t size() const { return uint32_t{bytes} * repeats; }
};
// Every byte of a block is in one region. Empty: the type cannot be decoded.
std::span<const ByteRegion> byte_regions(GgmlType type);

struct ByteMove {
  const ByteRegion* region = nullptr;
  std::vector<DecodedChange> changes;  // weights whose value differs, in order; from NaN to NaN and from 0 to -0 are none
  uint32_t nan = 0, infinite = 0;      // how many of their new values are
  bool finite() const { return nan + infinite == 0; }
};

// Adds to one stored byte modulo 256. Any type that can be decoded. Errors: kUnsupported, kUsage (a byte past the end), kInternal.
Result<ByteMove> add_to_byte(GgmlType type, std::span<std::byte> row, uint64_t byte, int amount);

}  // namespace assay
