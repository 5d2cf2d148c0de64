#include "assay/probe/apply_edit.h"

#include <cmath>

#include "assay/base/random.h"
#include "assay/base/sha256.h"
#include "assay/base/sum.h"
#include "assay/file/tensor_role.h"
#include "assay/quant/code_move.h"

namespace assay {
namespace {

using Action = WeightEdit::Action;

// Rows and columns [begin, end) of a head, row or column, or of all.
struct Box {
  uint64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
  uint64_t size() const { return (row_end - row_begin) * (column_end - column_begin); }
};

Box box_of(const Selection& where, const EditedTensor& tensor) {
  Box box{0, tensor.info->rows(), 0, tensor.info->row_length()};
  const auto head_dim = static_cast<uint64_t>(tensor.hyper->head_dim);
  if (where.kind == Selection::Kind::kRow) box.row_begin = where.index, box.row_end = where.index + 1;
  if (where.kind == Selection::Kind::kColumn) box.column_begin = where.index, box.column_end = where.index + 1;
  if (where.kind == Selection::Kind::kHead) {
    const bool columns = role_of(tensor.info->name).role == Role::kAttnOutput;
    (columns ? box.column_begin : box.row_begin) = where.index * head_dim;
    (columns ? box.column_end : box.row_end) = (where.index + 1) * head_dim;
  }
  return box;
}

template <class Body>
void for_selected(const Selection& where, const EditedTensor& tensor, const Body& body) {
  const uint64_t width = tensor.info->row_length();
  if (where.kind == Selection::Kind::kCoordinates) {
    for (const Coordinate& at : where.coordinates) body(at.row * width + at.column);
    return;
  }
  const Box box = box_of(where, tensor);
  for (uint64_t row = box.row_begin; row < box.row_end; ++row)
    for (uint64_t column = box.column_begin; column < box.column_end; ++column) body(row * width + column);
}

double standard_deviation(std::span<const float> values) {
  CompensatedSum sum, squares;
  for (const float value : values) sum.add(value), squares.add(static_cast<double>(value) * static_cast<double>(value));
  const auto n = static_cast<double>(values.size());
  const double mean = sum.value() / n;
  return std::sqrt(std::max(0.0, squares.value() / n - mean * mean));
}

class Editor {
 public:
  Editor(const WeightEdit& edit, const EditedTensor& tensor, std::vector<OldValue>* old) : edit_(edit), tensor_(tensor), old_(old) {}

  Status run() {
    switch (edit_.action) {
      case Action::kSet:
        return change([&](uint64_t, double) { return edit_.value; });
      case Action::kAdd:
        return change([&](uint64_t, double value) { return value + edit_.value; });
      case Action::kScale:
        return change([&](uint64_t, double value) { return value * edit_.value; });
      case Action::kNoise: {
        const double size = edit_.value * standard_deviation(tensor_.values);
        const uint64_t stream = name_stream(tensor_.info->name);
        return change([&](uint64_t i, double value) { return value + size * CounterRandom(edit_.seed, stream, i).next_normal(); });
      }
      case Action::kLevel:
        return levels();
      case Action::kByte:
        return one_byte();
      default:
        return fail(ErrorCode::kInternal, "variant: this edit is not made in place");
    }
  }

 private:
  void put(uint64_t index, float value) {
    if (old_ != nullptr) old_->push_back({index, tensor_.values[index]});
    tensor_.values[index] = value;
  }

  template <class Of>
  Status change(const Of& of) {
    for_selected(edit_.where, tensor_, [&](uint64_t i) { put(i, static_cast<float>(of(i, static_cast<double>(tensor_.values[i])))); });
    return {};
  }

  // A copy of the format's block `number`, counted over the whole tensor.
  std::vector<std::byte> block(uint64_t number) const {
    const uint64_t size = find_type(tensor_.info->type)->block_bytes;
    const auto bytes = tensor_.stored.subspan(number * size, size);
    return {bytes.begin(), bytes.end()};
  }

  Status levels() {
    const uint64_t weights = find_type(tensor_.info->type)->block_size;
    Status status;
    for_selected(edit_.where, tensor_, [&](uint64_t i) {
      if (!status) return;
      std::vector<std::byte> bytes = block(i / weights);
      const auto moved = move_code(tensor_.info->type, bytes, i % weights, edit_.step);
      if (!moved) {
        status = fail(moved.error().code, "tensor '" + tensor_.info->name + "': " + moved.error().message);
        return;
      }
      for (const auto& one : moved->changes) put(i / weights * weights + one.weight, one.after);
    });
    return status;
  }

  Status one_byte() {
    const GgmlTypeInfo& type = *find_type(tensor_.info->type);
    const uint64_t number = edit_.byte / type.block_bytes;
    std::vector<std::byte> bytes = block(number);
    const auto moved = add_to_byte(tensor_.info->type, bytes, edit_.byte % type.block_bytes, edit_.step);
    if (!moved) return fail(moved.error().code, "tensor '" + tensor_.info->name + "': " + moved.error().message);
    for (const auto& one : moved->changes) put(number * type.block_size + one.weight, one.after);
    return {};
  }

  const WeightEdit& edit_;
  const EditedTensor& tensor_;
  std::vector<OldValue>* old_;
};

}  // namespace

bool applies_in_place(Action action) { return action != Action::kType && action != Action::kFile && action != Action::kLowRank; }

uint64_t selected(const WeightEdit& edit, const EditedTensor& tensor) {
  if (edit.action == Action::kByte) return 0;
  if (edit.where.kind == Selection::Kind::kCoordinates) return edit.where.coordinates.size();
  return box_of(edit.where, tensor).size();
}

Status apply_edit(const WeightEdit& edit, const EditedTensor& tensor, std::vector<OldValue>* old) {
  return Editor(edit, tensor, old).run();
}

Status move_stored(const WeightEdit& edit, const EditedTensor& tensor, std::span<std::byte> bytes) {
  const GgmlTypeInfo& type = *find_type(tensor.info->type);
  Status status;
  const auto refused = [&](const Error& error) { status = fail(error.code, "tensor '" + tensor.info->name + "': " + error.message); };
  if (edit.action == Action::kByte) {
    const std::span<std::byte> block = bytes.subspan(edit.byte / type.block_bytes * type.block_bytes, type.block_bytes);
    if (const auto moved = add_to_byte(type.type, block, edit.byte % type.block_bytes, edit.step); !moved) refused(moved.error());
    return status;
  }
  if (edit.action != Action::kLevel) return fail(ErrorCode::kInternal, "variant: this edit does not move stored bytes");
  for_selected(edit.where, tensor, [&](uint64_t i) {
    if (!status) return;
    const std::span<std::byte> block = bytes.subspan(i / type.block_size * type.block_bytes, type.block_bytes);
    if (const auto moved = move_code(type.type, block, i % type.block_size, edit.step); !moved) refused(moved.error());
  });
  return status;
}

}  // namespace assay
