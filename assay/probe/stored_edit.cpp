#include "assay/probe/stored_edit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/base/text.h"
#include "assay/probe/apply_edit.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using Action = WeightEdit::Action;

std::string who(const TensorInfo& tensor) { return "tensor '" + printable(tensor.name) + "'"; }

bool is_move(const WeightEdit& edit) { return edit.action == Action::kLevel || edit.action == Action::kByte; }

bool same_value(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// The tensor of that name in the edit's file.
Result<const TensorInfo*> tensor_in(const Checkpoint& other, const TensorInfo& tensor, const std::string& path) {
  const TensorInfo* info = other.find(tensor.name);
  if (info == nullptr) return fail(ErrorCode::kMismatch, {path, "has no " + who(tensor), "the base model has it", ""});
  if (info->dims == tensor.dims && info->n_dims == tensor.n_dims) return info;
  return fail(ErrorCode::kMismatch, {path, "has another shape for " + who(tensor), "", "not the same model"});
}

Result<std::vector<float>> decoded(const TensorInfo& tensor, GgmlType type, std::span<const std::byte> bytes, int threads) {
  std::vector<float> values(tensor.elements());
  ASSAY_TRY(decode(type, bytes, tensor.row_length(), values, threads));
  return values;
}

class Editing {
 public:
  Editing(const TensorInfo& tensor, const EditSource& source, EditFiles& files) : tensor_(tensor), source_(source), files_(files) {}

  // The values of the tensor after all edits, as the sweep has them.
  Result<std::vector<float>> values_after(std::span<const WeightEdit> edits, std::span<const std::byte> stored,
                                          const std::vector<float>& base) const {
    std::vector<float> values = base;
    for (const WeightEdit& edit : edits) {
      if (applies_in_place(edit.action)) {
        ASSAY_TRY(apply_edit(edit, {&tensor_, &source_.hyper, stored, values}, nullptr));
      } else if (edit.action == Action::kLowRank) {
        ASSAY_TRY(add_thin(edit, values));
      } else {
        ASSAY_ASSIGN(const std::vector<float> goal, goal_of(edit, base));
        for (size_t i = 0; i < values.size(); ++i) {
          const double change = edit.share * (static_cast<double>(goal[i]) - static_cast<double>(base[i]));
          values[i] = static_cast<float>(static_cast<double>(values[i]) + change);
        }
      }
    }
    return values;
  }

  Status encode_at(GgmlType type, std::span<const float> values, const Imatrix* imatrix, std::span<std::byte> out) const {
    const std::vector<float> importance = imatrix != nullptr ? imatrix->importance(tensor_.name) : std::vector<float>{};
    EncodeOptions options;
    options.threads = source_.threads;
    options.importance = importance;
    const auto status = encode(type, values, tensor_.row_length(), out, options);
    return status ? Status() : fail(status.error().code, who(tensor_) + ": " + status.error().message);
  }

  Result<std::vector<std::byte>> encoded(GgmlType type, std::span<const float> values) const {
    ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, std::span(tensor_.dims).first(tensor_.n_dims), tensor_.name));
    std::vector<std::byte> bytes(size);
    ASSAY_TRY(encode_at(type, values, source_.imatrix, bytes));
    return bytes;
  }

 private:
  // w~ of `type` and `from`.
  Result<std::vector<float>> goal_of(const WeightEdit& edit, const std::vector<float>& base) const {
    if (edit.action == Action::kType) {
      ASSAY_ASSIGN(const std::vector<std::byte> bytes, encoded(edit.type, base));
      return decoded(tensor_, edit.type, bytes, source_.threads);
    }
    ASSAY_ASSIGN(const auto other, files_.model(edit.file));
    ASSAY_ASSIGN(const TensorInfo* info, tensor_in(*other, tensor_, edit.file));
    return other->read_float(*info, source_.threads);
  }

  Status add_thin(const WeightEdit& edit, std::vector<float>& values) const {
    ASSAY_ASSIGN(const ThinMatrices thin, files_.thin(edit.file, tensor_));
    const uint64_t columns = tensor_.row_length(), rank = thin.left.columns;
    std::vector<double> sums(columns);
    for (uint64_t row = 0; row < tensor_.rows(); ++row) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (uint64_t r = 0; r < rank; ++r) {
        const auto a = static_cast<double>(thin.left.values[row * rank + r]);
        const float* b = thin.right.values.data() + r * columns;
        for (uint64_t column = 0; column < columns; ++column) sums[column] += a * static_cast<double>(b[column]);
      }
      float* out = values.data() + row * columns;
      for (uint64_t column = 0; column < columns; ++column)
        out[column] = static_cast<float>(static_cast<double>(out[column]) + edit.value * sums[column]);
    }
    return {};
  }

  const TensorInfo& tensor_;
  const EditSource& source_;
  EditFiles& files_;
};

// Moves that lie together - the same weight twice, two weights of a grid's octet, a scale and its codes - need not be one set of bytes:
// each is defined from the codes as they were.
Result<StoredCounts> move_all(std::span<const WeightEdit> edits, const TensorInfo& tensor, const EditSource& source,
                              std::span<const std::byte> stored, std::span<std::byte> out) {
  const Hyper& hyper = source.hyper;
  std::copy(stored.begin(), stored.end(), out.begin());
  ASSAY_ASSIGN(const std::vector<float> before, decoded(tensor, tensor.type, stored, source.threads));
  std::vector<float> wanted = before;
  for (const WeightEdit& edit : edits) {
    ASSAY_TRY(apply_edit(edit, {&tensor, &hyper, stored, wanted}, nullptr));
    ASSAY_TRY(move_stored(edit, {&tensor, &hyper, stored, wanted}, out));
  }
  ASSAY_ASSIGN(const std::vector<float> after, decoded(tensor, tensor.type, out, source.threads));
  StoredCounts counts;
  for (size_t i = 0; i < after.size(); ++i) {
    if (!same_value(after[i], wanted[i]))
      return fail(ErrorCode::kMismatch, {who(tensor), "has moves that lie together, at weight " + group_digits(i),
                                         "each of them starts from the codes as they are, and no bytes hold them all", ""});
    counts.changed += !same_value(after[i], before[i]);
    counts.non_finite += !std::isfinite(after[i]);
  }
  return counts;
}

StoredCounts compare(std::span<const float> before, std::span<const float> wanted, std::span<const float> after) {
  StoredCounts counts;
  for (size_t i = 0; i < after.size(); ++i) {
    counts.changed += !same_value(after[i], before[i]);
    counts.rounded += !same_value(after[i], wanted[i]);
    counts.non_finite += !std::isfinite(after[i]);
  }
  return counts;
}

// Encoders of narrow float types bring what is too large to their largest number: that is no rounding.
Status check_range(const TensorInfo& tensor, GgmlType type, std::span<const float> wanted, std::span<const float> after) {
  const float most = std::numeric_limits<float>::max();
  std::vector<std::byte> bytes(find_type(type)->block_bytes);
  float largest = 0;
  ASSAY_TRY(encode(type, {&most, 1}, 1, bytes));
  ASSAY_TRY(decode(type, bytes, 1, {&largest, 1}));
  for (size_t i = 0; i < after.size(); ++i)
    if (std::fabs(wanted[i]) > largest || !std::isfinite(after[i]))
      return fail(ErrorCode::kBadInput, {who(tensor), "would have " + std::to_string(wanted[i]) + " at weight " + group_digits(i),
                                         std::string("no ") + find_type(type)->name + " is that large", ""});
  return {};
}

}  // namespace

std::string_view name_of(StoredForm form) {
  switch (form) {
    case StoredForm::kMoved:
      return "moved";
    case StoredForm::kEncoded:
      return "encoded";
    case StoredForm::kTaken:
      return "taken";
    case StoredForm::kRounded:
      return "rounded";
    case StoredForm::kWidened:
      return "widened";
    case StoredForm::kZeroed:
      return "zeroed";
  }
  return "";
}

Result<StoredEdit> plan_edits(std::span<const WeightEdit> edits, const TensorInfo& tensor, EditFiles& files) {
  const TensorInfo* other = nullptr;
  for (const WeightEdit& edit : edits) {
    if (edit.action == Action::kLowRank) {
      ASSAY_TRY(files.thin(edit.file, tensor));
    } else if (edit.action == Action::kFile) {
      ASSAY_ASSIGN(const auto model, files.model(edit.file));
      ASSAY_ASSIGN(other, tensor_in(*model, tensor, edit.file));
    }
  }
  if (std::all_of(edits.begin(), edits.end(), is_move)) return StoredEdit{StoredForm::kMoved, tensor.type};
  if (edits.size() == 1 && edits[0].share == 1) {
    if (edits[0].action == Action::kType) return StoredEdit{StoredForm::kEncoded, edits[0].type};
    if (edits[0].action == Action::kFile) return StoredEdit{StoredForm::kTaken, other->type};
  }
  const Codec* codec = find_codec(tensor.type);
  if (codec != nullptr && codec->encode != nullptr && !codec->info->quantized) return StoredEdit{StoredForm::kRounded, tensor.type};
  return StoredEdit{StoredForm::kWidened, GgmlType::kF32};
}

Result<StoredCounts> store_edits(std::span<const WeightEdit> edits, const TensorInfo& tensor, const StoredEdit& plan,
                                 const EditSource& source, EditFiles& files, std::span<std::byte> out) {
  ASSAY_ASSIGN(const std::vector<std::byte> stored, source.checkpoint.read(tensor));
  if (plan.form == StoredForm::kMoved) return move_all(edits, tensor, source, stored, out);
  ASSAY_ASSIGN(const std::vector<float> base, source.checkpoint.read_float(tensor, source.threads));
  const Editing editing(tensor, source, files);
  if (plan.form == StoredForm::kTaken) {
    ASSAY_ASSIGN(const auto other, files.model(edits[0].file));
    ASSAY_ASSIGN(const TensorInfo* info, tensor_in(*other, tensor, edits[0].file));
    ASSAY_ASSIGN(const std::vector<float> after, other->read_float(*info, source.threads));  // finite
    ASSAY_ASSIGN(const std::vector<std::byte> bytes, other->read(*info));
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return compare(base, after, after);
  }
  if (plan.form == StoredForm::kEncoded) {
    ASSAY_TRY(editing.encode_at(plan.type, base, source.imatrix, out));
    ASSAY_ASSIGN(const std::vector<float> after, decoded(tensor, plan.type, out, source.threads));
    return compare(base, after, after);
  }
  ASSAY_ASSIGN(const std::vector<float> wanted, editing.values_after(edits, stored, base));
  ASSAY_TRY(editing.encode_at(plan.type, wanted, nullptr, out));
  ASSAY_ASSIGN(const std::vector<float> after, decoded(tensor, plan.type, out, source.threads));
  ASSAY_TRY(check_range(tensor, plan.type, wanted, after));
  return compare(base, wanted, after);
}

}  // namespace assay
