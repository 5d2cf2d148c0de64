#include "assay/probe/check_variant.h"

#include <algorithm>
#include <set>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/quant/code_move.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using Action = WeightEdit::Action;
using Part = ScheduleEdit::Part;

std::string type_name(GgmlType type) {
  const GgmlTypeInfo* info = find_type(type);
  return info == nullptr ? "type " + std::to_string(static_cast<uint32_t>(type)) : info->name;
}

class Checker {
 public:
  Checker(const Variant& variant, const ModelShape& shape, std::vector<Step> steps)
      : variant_(variant), shape_(shape), hyper_(shape.hyper()), steps_(std::move(steps)) {}

  Status run() {
    for (size_t i = 0; i < variant_.weights.size(); ++i) {
      where_ = "weights[" + std::to_string(i) + "]";
      ASSAY_TRY(weight(variant_.weights[i]));
    }
    std::set<std::pair<int, int>> ruled;
    for (size_t i = 0; i < variant_.attention.size(); ++i) {
      where_ = "attention[" + std::to_string(i) + "]";
      ASSAY_TRY(attention(variant_.attention[i], ruled));
    }
    for (size_t i = 0; i < variant_.residual.size(); ++i) {
      where_ = "residual[" + std::to_string(i) + "]";
      ASSAY_TRY(residual(i));
    }
    return {};
  }

 private:
  tl::unexpected<Error> refuse(std::string found, std::string needed, ErrorCode code = ErrorCode::kMismatch, std::string cause = {}) const {
    return fail(code, {"variant '" + printable(variant_.name) + "': " + where_, std::move(found), std::move(needed), std::move(cause)});
  }
  tl::unexpected<Error> past_the_end(const std::string& what, uint64_t index, uint64_t count) const {
    return refuse("names " + what + " " + group_digits(index), "the last is " + group_digits(count - 1));
  }

  // Whether the block, or a half of it, still runs.
  bool runs(int block, Part half) const {
    return std::any_of(steps_.begin(), steps_.end(), [&](const Step& step) {
      return step.block == block && (half == Part::kBlock || step.part == Part::kBlock || step.part == half);
    });
  }
  Status layer_exists(int layer) const {
    if (layer >= 0 && layer < hyper_.layers) return {};
    return refuse("names layer " + std::to_string(layer), "the model has layers 0 to " + std::to_string(hyper_.layers - 1));
  }

  Status weight(const WeightEdit& edit) {
    const TensorRole role = role_of(edit.tensor);
    if (role.layer >= 0) ASSAY_TRY(layer_exists(role.layer));
    const TensorInfo* tensor = shape_.find(edit.tensor);
    if (tensor == nullptr) {
      std::vector<std::string> names;
      for (const TensorInfo& info : shape_.tensors()) names.push_back(info.name);
      const std::string near = nearest_name(edit.tensor, names);
      return refuse("names the tensor '" + printable(edit.tensor) + "'", "the model does not have it", ErrorCode::kNotFound,
                    near.empty() ? "" : "did you mean " + near + "?");
    }
    where_ += " ('" + printable(edit.tensor) + "')";
    if (tensor->n_dims != 2)
      return refuse("is no matrix: it has " + std::to_string(tensor->n_dims) + " dimensions", "matrices can be changed");
    if (role.layer >= 0 && !runs(role.layer, is_attention(role.role) ? Part::kAttention : is_ffn(role.role) ? Part::kFfn : Part::kBlock))
      return refuse("is in a block, or half of one, that the schedule leaves out", "its weights would change nothing");
    ASSAY_TRY(selection(edit.where, *tensor, role.role));
    return action(edit, *tensor);
  }

  Status selection(const Selection& where, const TensorInfo& tensor, Role role) const {
    const uint64_t rows = tensor.rows(), columns = tensor.row_length();
    switch (where.kind) {
      case Selection::Kind::kAll:
        return {};
      case Selection::Kind::kRow:
        return where.index < rows ? Status() : past_the_end("row", where.index, rows);
      case Selection::Kind::kColumn:
        return where.index < columns ? Status() : past_the_end("column", where.index, columns);
      case Selection::Kind::kCoordinates:
        if (where.coordinates.empty()) return refuse("chooses no weights", "one is needed");
        for (const Coordinate& at : where.coordinates) {
          if (at.row >= rows) return past_the_end("row", at.row, rows);
          if (at.column >= columns) return past_the_end("column", at.column, columns);
        }
        return {};
      case Selection::Kind::kHead:
        break;
    }
    const bool of_queries = role == Role::kAttnQ || role == Role::kAttnOutput, of_keys = role == Role::kAttnK || role == Role::kAttnV;
    if (!of_queries && !of_keys) return refuse("has no heads", "attn_q, attn_k, attn_v and attn_output have");
    const auto heads = static_cast<uint64_t>(of_queries ? hyper_.heads : hyper_.kv_heads);
    const auto width = heads * static_cast<uint64_t>(hyper_.head_dim);
    if ((role == Role::kAttnOutput ? columns : rows) != width)
      return refuse("is not " + group_digits(heads) + " heads of " + std::to_string(hyper_.head_dim) + " wide", "its heads are not known");
    return where.index < heads ? Status() : past_the_end("head", where.index, heads);
  }

  Status action(const WeightEdit& edit, const TensorInfo& tensor) const {
    const Codec* own = find_codec(tensor.type);
    if (own == nullptr || own->decode == nullptr)
      return refuse("has the type " + type_name(tensor.type), "it cannot be decoded", ErrorCode::kUnsupported);
    switch (edit.action) {
      case Action::kSet:
      case Action::kAdd:
      case Action::kScale:
      case Action::kNoise:
      case Action::kFile:
      case Action::kLowRank:
        return {};
      case Action::kLevel:
        if (code_move_kind(tensor.type) != CodeMoveKind::kNone) return {};
        return refuse("has the type " + type_name(tensor.type) + ", which has no codes", "level moves need a quantized tensor",
                      ErrorCode::kUnsupported);
      case Action::kByte: {
        ASSAY_ASSIGN(const uint64_t bytes, tensor_bytes(tensor.type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
        return edit.byte < bytes ? Status() : past_the_end("byte", edit.byte, bytes);
      }
      case Action::kType: {
        const Codec* codec = find_codec(edit.type);
        if (codec == nullptr || codec->encode == nullptr)
          return refuse("goes to the type " + type_name(edit.type), "it cannot be written", ErrorCode::kUnsupported);
        if (row_fits(edit.type, tensor.row_length())) return {};
        return refuse("goes to " + type_name(edit.type) + " with rows of " + group_digits(tensor.row_length()),
                      "its blocks are " + std::to_string(codec->info->block_size) + " wide");
      }
    }
    return {};
  }

  Status attention(const AttentionEdit& edit, std::set<std::pair<int, int>>& ruled) const {
    ASSAY_TRY(layer_exists(edit.layer));
    if (!runs(edit.layer, Part::kAttention))
      return refuse("is for layer " + std::to_string(edit.layer) + ", whose attention the schedule leaves out", "it would change nothing");
    std::vector<int> heads = edit.heads;
    if (heads.empty())
      for (int head = 0; head < hyper_.heads; ++head) heads.push_back(head);
    for (const int head : heads) {
      if (head < 0 || head >= hyper_.heads)
        return refuse("names head " + std::to_string(head), "the model has heads 0 to " + std::to_string(hyper_.heads - 1));
      if (!ruled.insert({edit.layer, head}).second)
        return refuse("gives head " + std::to_string(head) + " of layer " + std::to_string(edit.layer) + " a second rule", "one per head");
    }
    if (edit.rule == AttentionEdit::Rule::kTopK && edit.k < 1) return refuse("keeps " + std::to_string(edit.k) + " keys", "1 is the least");
    if (edit.rule == AttentionEdit::Rule::kLowRank && (edit.k < 1 || edit.k > hyper_.head_dim))
      return refuse("has rank " + std::to_string(edit.k), "1 to the heads' " + std::to_string(hyper_.head_dim) + " is possible");
    return {};
  }

  Status residual(size_t index) const {
    const ResidualEdit& edit = variant_.residual[index];
    if (edit.rank < 0 || edit.rank > hyper_.d_model)
      return refuse("has rank " + std::to_string(edit.rank), "1 to the stream's " + std::to_string(hyper_.d_model) + " is possible");
    for (const ScheduleEdit& change : variant_.schedule)
      if (change.action != ScheduleEdit::Action::kSkip)
        return refuse("comes with reordered or repeated blocks", "which output of the model belongs to which run is not defined then");
    if (!first_changed_block(variant_, steps_))
      return refuse("patches a variant that changes no block's output", "there is no difference to add");
    if (edit.form == ResidualEdit::Form::kCumulative && variant_.residual.size() > 1)
      return refuse("is cumulative beside another patch", "it is at every block already");
    for (size_t i = 0; i < index; ++i)
      if (variant_.residual[i].form == edit.form && (edit.form != ResidualEdit::Form::kReplace || variant_.residual[i].layer == edit.layer))
        return refuse("patches a block a second time", "once is enough");
    if (edit.form != ResidualEdit::Form::kReplace) return {};
    ASSAY_TRY(layer_exists(edit.layer));
    if (runs(edit.layer, Part::kBlock)) return {};
    return refuse("is for layer " + std::to_string(edit.layer) + ", which the schedule leaves out", "a block that runs is needed");
  }

  const Variant& variant_;
  const ModelShape& shape_;
  const Hyper& hyper_;
  const std::vector<Step> steps_;
  std::string where_;
};

}  // namespace

ModelShape::ModelShape(Hyper hyper, std::span<const TensorInfo> tensors)
    : hyper_(std::move(hyper)), tensors_(tensors.begin(), tensors.end()) {
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorInfo* ModelShape::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

Status check(const Variant& variant, const ModelShape& shape) {
  ASSAY_ASSIGN(std::vector<Step> steps, expand_schedule(variant, shape.hyper().layers));
  return Checker(variant, shape, std::move(steps)).run();
}

std::optional<int> first_changed_block(const Variant& variant, std::span<const Step> steps) {
  std::optional<int> first;
  const auto note = [&](int block) { first = std::min(first.value_or(block), block); };
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i] == Step{static_cast<int>(i)}) continue;
    note(steps[i].block);
    break;
  }
  for (const WeightEdit& edit : variant.weights) {
    const TensorRole role = role_of(edit.tensor);
    if (role.layer >= 0) note(role.layer);
    if ((role.role == Role::kTokenEmbd || role.role == Role::kPositionEmbd) && !steps.empty()) note(steps[0].block);
  }
  for (const AttentionEdit& edit : variant.attention) note(edit.layer);
  return first;
}

}  // namespace assay
