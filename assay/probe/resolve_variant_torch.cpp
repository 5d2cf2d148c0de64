#include <algorithm>
#include <set>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/probe/apply_edit.h"
#include "assay/probe/edit_files.h"
#include "assay/probe/resolve_variant.h"

namespace assay {
namespace {

using Action = WeightEdit::Action;

at::Tensor tensor_of(const FileMatrix& matrix) {
  return at::tensor(matrix.values).view({static_cast<int64_t>(matrix.rows), static_cast<int64_t>(matrix.columns)});
}

// The edits of one tensor, in order.
struct TensorEdits {
  std::string tensor;
  std::vector<WeightEdit> edits;
};

std::vector<TensorEdits> by_tensor(const Variant& variant) {
  std::vector<TensorEdits> all;
  for (const WeightEdit& edit : variant.weights) {
    auto found = std::find_if(all.begin(), all.end(), [&](const TensorEdits& one) { return one.tensor == edit.tensor; });
    if (found == all.end()) found = all.insert(all.end(), {edit.tensor, {}});
    found->edits.push_back(edit);
  }
  return all;
}

std::string key_of(const TensorEdits& edits) {
  Variant alone;
  alone.weights = edits.edits;
  return hash_of(alone);
}

}  // namespace

std::vector<ResolvedEdit> edits_of(const Network& network, const std::string& tensor, const std::string& key,
                                   const std::function<Result<WeightChange>()>& make) {
  std::vector<ResolvedEdit> edits;
  if (tensor == network.embedding_tensor()) edits.push_back({ResolvedEdit::kEmbedding, Site::kQ, key, make});
  if (tensor == network.head_tensor()) edits.push_back({ResolvedEdit::kHead, Site::kQ, key, make});
  if (const int layer = role_of(tensor).layer; layer >= 0)
    for (const Site site : kSites)
      if (network.tensor_name(layer, site) == tensor) edits.push_back({layer, site, key, make});
  return edits;
}

std::optional<std::vector<SparseWeight>> moved_weights(const Variant& variant, const ResolvedVariant& resolved) {
  const bool alone = variant.schedule.empty() && variant.attention.empty() && variant.residual.empty();
  if (!alone || variant.weights.size() != 1 || resolved.edits.empty()) return std::nullopt;
  const Action action = variant.weights[0].action;
  if (action != Action::kLevel && action != Action::kByte) return std::nullopt;
  const auto change = resolved.edits[0].make();
  if (!change) return std::nullopt;
  return change->sparse;
}

// The tensor that edits are made on: the last one asked for stays, since families come tensor by tensor.
struct VariantResolver::State {
  std::shared_ptr<const Network> network;
  const ChangeSource* changes = nullptr;

  struct Loaded {
    std::string name;
    std::vector<std::byte> stored;
    at::Tensor values;
  } last;
  EditFiles files;

  Result<EditedTensor> load(const std::string& tensor) {
    const TensorInfo* info = network->checkpoint().find(tensor);
    if (last.name != tensor) {
      last = {};
      ASSAY_ASSIGN(last.stored, network->checkpoint().read(*info));
      ASSAY_ASSIGN(last.values, network->plain_weight(tensor));
      last.values = last.values.clone();
      last.name = tensor;
    }
    return EditedTensor{
        info, &network->hyper(), last.stored, {last.values.mutable_data_ptr<float>(), static_cast<size_t>(last.values.numel())}};
  }

  // Few weights: made now, undone in the copy at hand.
  Result<WeightChange> sparse(const TensorEdits& edits) {
    ASSAY_ASSIGN(const EditedTensor tensor, load(edits.tensor));
    std::vector<OldValue> old;
    Status status;
    for (const WeightEdit& edit : edits.edits)
      if (status) status = apply_edit(edit, tensor, &old);
    std::map<uint64_t, std::pair<float, float>> changed;  // index: before all edits, after
    for (const OldValue& one : old) changed.try_emplace(one.index, one.value, tensor.values[one.index]);
    for (size_t i = old.size(); i-- > 0;) tensor.values[old[i].index] = old[i].value;
    if (!status) return fail(std::move(status).error());
    WeightChange change;
    const uint64_t width = tensor.info->row_length();
    for (const auto& [index, value] : changed)
      if (value.first != value.second)
        change.sparse.push_back({static_cast<int64_t>(index / width), static_cast<int64_t>(index % width), value.second - value.first});
    return change;
  }

  // All edits one after another on a copy of the matrix.
  Result<WeightChange> dense(const TensorEdits& edits) {
    at::NoGradGuard no_grad;
    ASSAY_ASSIGN(EditedTensor tensor, load(edits.tensor));
    at::Tensor values = last.values.clone();
    tensor.values = {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())};
    for (const WeightEdit& edit : edits.edits) {
      if (applies_in_place(edit.action)) {
        ASSAY_TRY(apply_edit(edit, tensor, nullptr));
        continue;
      }
      ASSAY_ASSIGN(const WeightChange change, other(edit));
      values += change.whole(values.size(0), values.size(1));
    }
    return WeightChange(values.sub_(last.values));
  }

  // Requantized, taken from a file, thin: of the matrix as it is stored.
  Result<WeightChange> other(const WeightEdit& edit) {
    if (edit.action == Action::kLowRank) {
      ASSAY_ASSIGN(const ThinMatrices thin, files.thin(edit.file, *network->checkpoint().find(edit.tensor)));
      WeightChange change;
      change.left = tensor_of(thin.left) * edit.value;
      change.right = tensor_of(thin.right);
      return change;
    }
    at::Tensor change;
    if (edit.action == Action::kType) {
      ASSAY_ASSIGN(change, changes->requantized(edit.tensor, edit.type));
    } else {
      ASSAY_ASSIGN(const auto opened, files.model(edit.file));
      ASSAY_ASSIGN(change, changes->taken_from(edit.tensor, *opened));
    }
    return WeightChange(edit.share == 1 ? change : change * edit.share);
  }

  Result<std::function<Result<WeightChange>()>> maker(const TensorEdits& edits) {
    const bool in_place =
        std::all_of(edits.edits.begin(), edits.edits.end(), [](const WeightEdit& e) { return applies_in_place(e.action); });
    if (in_place) {
      const EditedTensor shape{network->checkpoint().find(edits.tensor), &network->hyper(), {}, {}};
      uint64_t count = 0;
      for (const WeightEdit& edit : edits.edits) count += selected(edit, shape);
      if (count <= shape.info->rows() + shape.info->row_length()) {
        ASSAY_ASSIGN(const WeightChange change, sparse(edits));
        return [change]() -> Result<WeightChange> { return change; };
      }
    }
    if (edits.edits.size() == 1 && !in_place) {
      if (!edits.edits[0].file.empty()) ASSAY_TRY(other(edits.edits[0]));  // its file is looked at before anything runs
      return [this, edit = edits.edits[0]] { return other(edit); };
    }
    return [this, edits] { return dense(edits); };
  }

  Result<std::shared_ptr<const AttentionRules>> rules(const std::vector<AttentionEdit>& edits, int layer) {
    const Hyper& hyper = network->hyper();
    auto rules = std::make_shared<AttentionRules>(static_cast<size_t>(hyper.heads));
    for (const AttentionEdit& edit : edits) {
      if (edit.layer != layer) continue;
      std::vector<int> heads = edit.heads;
      if (heads.empty())
        for (int head = 0; head < hyper.heads; ++head) heads.push_back(head);
      for (const int head : heads) {
        ASSAY_ASSIGN((*rules)[static_cast<size_t>(head)], rule(edit, layer, head));
      }
    }
    return std::shared_ptr<const AttentionRules>(rules);
  }

  Result<HeadRule> rule(const AttentionEdit& edit, int layer, int head) {
    HeadRule rule;
    rule.k = edit.k;
    switch (edit.rule) {
      case AttentionEdit::Rule::kFull:
        return rule;
      case AttentionEdit::Rule::kTop1:
        rule.kind = HeadRule::Kind::kTop1;
        return rule;
      case AttentionEdit::Rule::kTopK:
        rule.kind = HeadRule::Kind::kTopK;
        return rule;
      case AttentionEdit::Rule::kLowRank:
        break;
    }
    rule.kind = HeadRule::Kind::kLowRank;
    const std::string name = "blk." + std::to_string(layer) + ".head." + std::to_string(head);
    ASSAY_ASSIGN(const FileMatrix matrix, files.matrix(edit.basis, name));
    const at::Tensor basis = tensor_of(matrix);
    if (basis.size(0) != network->hyper().head_dim || basis.size(1) < edit.k)
      return fail(ErrorCode::kMismatch,
                  {edit.basis + ": tensor '" + name + "'", "is " + std::to_string(basis.size(0)) + " by " + std::to_string(basis.size(1)),
                   std::to_string(network->hyper().head_dim) + " by at least " + std::to_string(edit.k), "a basis of another model?"});
    const at::Tensor rows = basis.narrow(1, 0, edit.k).t().contiguous();
    rule.basis = std::make_shared<const std::vector<float>>(rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel());
    return rule;
  }
};

VariantResolver::VariantResolver(std::shared_ptr<const Network> network, const ChangeSource& changes) : state_(std::make_unique<State>()) {
  state_->network = std::move(network);
  state_->changes = &changes;
}
VariantResolver::~VariantResolver() = default;

Result<ResolvedVariant> VariantResolver::resolve(const Variant& variant) {
  at::NoGradGuard no_grad;
  ResolvedVariant resolved;
  for (const TensorEdits& edits : by_tensor(variant)) {
    ASSAY_ASSIGN(const auto make, state_->maker(edits));
    std::vector<ResolvedEdit> places = edits_of(*state_->network, edits.tensor, key_of(edits), make);
    if (places.empty())
      return fail(ErrorCode::kUnsupported, {"tensor '" + printable(edits.tensor) + "'", "cannot be changed in a run",
                                            "matrices of blocks, the token embedding and the head can", ""});
    std::move(places.begin(), places.end(), std::back_inserter(resolved.edits));
  }
  const int layers = state_->network->hyper().layers;
  ASSAY_ASSIGN(const std::vector<Step> steps, expand_schedule(variant, layers));
  if (!variant.schedule.empty()) {
    resolved.steps.emplace();
    for (const Step& step : steps) resolved.steps->push_back({step.block, step.part, static_cast<double>(step.gamma)});
  }
  std::set<int> ruled;
  for (const AttentionEdit& edit : variant.attention) ruled.insert(edit.layer);
  for (const int layer : ruled) {
    Variant alone;
    for (const AttentionEdit& edit : variant.attention)
      if (edit.layer == layer) alone.attention.push_back(edit);
    ASSAY_ASSIGN(auto rules, state_->rules(variant.attention, layer));
    resolved.attention.push_back({layer, hash_of(alone), std::move(rules)});
  }
  for (const ResidualEdit& edit : variant.residual) {
    if (edit.form == ResidualEdit::Form::kCumulative) {
      for (int layer = 0; layer < layers; ++layer) resolved.patches.push_back({layer, edit.rank, true});
      continue;
    }
    const std::optional<int> first = edit.form == ResidualEdit::Form::kFirst ? first_changed_block(variant, steps) : edit.layer;
    if (first) resolved.patches.push_back({*first, edit.rank, false});
  }
  return resolved;
}

}  // namespace assay
