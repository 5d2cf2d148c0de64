#include "assay/probe/variant_families.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "assay/base/random.h"
#include "assay/base/sha256.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"
#include "assay/file/tensor_role.h"
#include "assay/probe/variant_io.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

constexpr size_t kMostExpanded = size_t{1} << 20;
// Their pairs are fewer than kMostExpanded.
constexpr size_t kMostOfPairs = 1448;
constexpr uint64_t kLargestRanking = uint64_t{16} << 20;
// Streams of sample_positions.
constexpr uint64_t kLevelStream = 0, kByteStream = 1;
// The matrices of a block. Q-PSA's seven, and the fused one of GPT-2.
constexpr Role kBlockMatrices[] = {Role::kAttnQ,      Role::kAttnK,   Role::kAttnV, Role::kAttnQkv,
                                   Role::kAttnOutput, Role::kFfnGate, Role::kFfnUp, Role::kFfnDown};

Variant skip_of(const std::vector<int>& layers, ScheduleEdit::Part part) {
  Variant variant;
  std::vector<std::string> names;
  for (const int layer : layers) {
    ScheduleEdit edit;
    edit.first = edit.last = layer;
    edit.part = part;
    variant.schedule.push_back(edit);
    names.push_back("skip " + std::to_string(layer) + (part == ScheduleEdit::Part::kBlock ? "" : " " + std::string(name_of(part))));
  }
  variant.name = join(names, " + ");
  return variant;
}

Variant weight_variant(WeightEdit edit, const std::string& what) {
  Variant variant;
  variant.name = edit.tensor + what;
  variant.weights.push_back(std::move(edit));
  return variant;
}

std::string at_text(const Coordinate& at) { return fmt::format("[{},{}]", at.row, at.column); }

// Every edit of both, the first's first.
Variant both(Variant a, const Variant& b) {
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(a.weights, b.weights), append(a.schedule, b.schedule), append(a.attention, b.attention), append(a.residual, b.residual);
  a.name += " + " + b.name;
  return a;
}

class Expander {
 public:
  explicit Expander(const ModelShape& shape) : shape_(shape) {}

  // The index of the variant in the set; an equal one of the same name is the same.
  Result<size_t> add(Variant variant) {
    if (variant.name.empty()) variant.name = hash_of(variant).substr(0, 12);
    for (auto found = names_.find(variant.name); found != names_.end(); found = names_.find(variant.name)) {
      if (canonical(set_.variants[found->second]) == canonical(variant)) return found->second;
      variant.name += " #" + hash_of(variant).substr(0, 6);  // another change has this name
    }
    if (set_.variants.size() >= kMostExpanded)
      return fail(ErrorCode::kBadInput,
                  {"variants", "are more than " + group_digits(kMostExpanded), "", "fewer samples, or fewer layers?"});
    ASSAY_TRY(check(variant, shape_));
    names_.emplace(variant.name, set_.variants.size());
    set_.variants.push_back(std::move(variant));
    return set_.variants.size() - 1;
  }

  Status family(const Family& family) {
    switch (family.kind) {
      case Family::Kind::kSkipEachLayer:
      case Family::Kind::kSkipPairs: {
        ASSAY_ASSIGN(const std::vector<int> layers, layers_of(family.layers, shape_.hyper().layers));
        std::vector<Variant> singles;
        for (const int layer : layers) singles.push_back(skip_of({layer}, family.part));
        if (family.kind == Family::Kind::kSkipPairs) return pairs(singles);
        for (Variant& single : singles) ASSAY_TRY(add(std::move(single)));
        return {};
      }
      case Family::Kind::kRepeatEachLayer:
        return repeats(family);
      case Family::Kind::kLevels:
      case Family::Kind::kBytes:
        return samples(family);
      case Family::Kind::kZero:
        return zeros(family);
      case Family::Kind::kPairs:
        return pairs(family.of);
      case Family::Kind::kJoint:
        return joint(family.of, {});
      case Family::Kind::kTop:
        return top(family);
      case Family::Kind::kRequantize:
        return requantize(family);
    }
    return {};
  }

  VariantSet take() { return std::move(set_); }

 private:
  Status repeats(const Family& family) {
    ASSAY_ASSIGN(const std::vector<int> layers, layers_of(family.layers, shape_.hyper().layers));
    for (const int layer : layers) {
      for (const double gamma : family.gammas) {
        Variant variant;
        ScheduleEdit edit;
        edit.action = ScheduleEdit::Action::kRepeat;
        edit.first = edit.last = layer;
        edit.times = family.times;
        edit.gamma = gamma;
        variant.schedule.push_back(edit);
        variant.name = fmt::format("repeat {} x{}", layer, family.times) + (gamma == 1 ? "" : fmt::format(" gamma {}", gamma));
        ASSAY_TRY(add(std::move(variant)));
      }
    }
    return {};
  }

  // The matrices a family is about, in the model's order.
  Result<std::vector<const TensorInfo*>> matrices(const Family& family) const {
    ASSAY_ASSIGN(const std::vector<int> layers, layers_of(family.layers, shape_.hyper().layers));
    std::unordered_set<std::string_view> missing(family.tensors.begin(), family.tensors.end());
    std::vector<const TensorInfo*> found;
    for (const TensorInfo& tensor : shape_.tensors()) {
      const TensorRole role = role_of(tensor.name);
      if (tensor.n_dims != 2 || role.is_bias) continue;
      const std::string role_name(name_of(role.role));
      const bool by_name = missing.contains(tensor.name) || std::count(family.tensors.begin(), family.tensors.end(), tensor.name) > 0;
      const bool by_role = family.tensors.empty()
                               ? role.layer >= 0 && std::count(std::begin(kBlockMatrices), std::end(kBlockMatrices), role.role) > 0
                               : role.role != Role::kOther && std::count(family.tensors.begin(), family.tensors.end(), role_name) > 0;
      if (!by_name && !by_role) continue;
      missing.erase(tensor.name), missing.erase(role_name);
      if (role.layer < 0 || std::binary_search(layers.begin(), layers.end(), role.layer)) found.push_back(&tensor);
    }
    if (missing.empty() && !found.empty()) return found;
    const std::string which = missing.empty() ? "matrices" : "'" + printable(*missing.begin()) + "'";
    return fail(ErrorCode::kNotFound, {"tensors: " + which, "match no matrix of the model", "attn_q, ffn_down, a whole name, ...", ""});
  }

  Status samples(const Family& family) {
    ASSAY_ASSIGN(const std::vector<const TensorInfo*> tensors, matrices(family));
    const bool bytes = family.kind == Family::Kind::kBytes;
    for (const TensorInfo* tensor : tensors) {
      uint64_t range = tensor->elements();
      if (bytes) {
        ASSAY_ASSIGN(range, tensor_bytes(tensor->type, std::span(tensor->dims).first(tensor->n_dims), tensor->name));
      }
      if (family.samples > range)
        return fail(ErrorCode::kMismatch,
                    {"samples: tensor '" + printable(tensor->name) + "'", "has " + group_digits(range) + (bytes ? " bytes" : " weights"),
                     group_digits(family.samples) + " are asked for", ""});
      const std::vector<uint64_t> positions =
          sample_positions(family.samples, range, family.seed, tensor->name, bytes ? kByteStream : kLevelStream);
      for (const uint64_t position : positions) {
        VariantGroup group{VariantGroup::Kind::kTwoSided, {}};
        for (const int step : {1, -1}) {
          ASSAY_ASSIGN(const size_t index, add(bytes ? byte_step(*tensor, position, step) : level_step(*tensor, position, step)));
          group.members.push_back(index);
        }
        set_.groups.push_back(std::move(group));
      }
    }
    return {};
  }

  static Variant byte_step(const TensorInfo& tensor, uint64_t position, int step) {
    WeightEdit edit;
    edit.tensor = tensor.name;
    edit.action = WeightEdit::Action::kByte;
    edit.byte = position;
    edit.step = step;
    return weight_variant(std::move(edit), fmt::format(" byte {} {:+}", position, step));
  }
  static Variant level_step(const TensorInfo& tensor, uint64_t position, int step) {
    WeightEdit edit;
    edit.tensor = tensor.name;
    edit.action = WeightEdit::Action::kLevel;
    edit.where = {Selection::Kind::kCoordinates, {{position / tensor.row_length(), position % tensor.row_length()}}, 0};
    edit.step = step;
    const std::string at = at_text(edit.where.coordinates[0]);
    return weight_variant(std::move(edit), fmt::format("{} {:+}", at, step));
  }

  Status zeros(const Family& family) {
    std::vector<Variant> singles;
    for (const Family::Weight& weight : family.coordinates) {
      WeightEdit edit;
      edit.tensor = weight.tensor;
      edit.where = {Selection::Kind::kCoordinates, {weight.at}, 0};
      singles.push_back(weight_variant(std::move(edit), at_text(weight.at) + " = 0"));
    }
    if (family.joint) return joint(singles, fmt::format("zero {} weights", singles.size()));
    for (Variant& single : singles) ASSAY_TRY(add(std::move(single)));
    return {};
  }

  // Each alone; their indices.
  Result<std::vector<size_t>> alone(std::vector<Variant> singles) {
    std::vector<size_t> indices;
    for (Variant& single : singles) {
      ASSAY_ASSIGN(const size_t index, add(std::move(single)));
      if (std::find(indices.begin(), indices.end(), index) != indices.end())
        return fail(ErrorCode::kBadInput,
                    {"the variant '" + printable(set_.variants[index].name) + "'", "is in one set twice", "each change once", ""});
      indices.push_back(index);
    }
    return indices;
  }

  // The variants at these places at once. `name`: of the set; empty: what it is made of.
  Status together(const std::vector<size_t>& singles, const std::string& name) {
    Variant all = set_.variants[singles[0]];
    for (size_t i = 1; i < singles.size(); ++i) all = both(std::move(all), set_.variants[singles[i]]);
    if (!name.empty()) all.name = name;
    ASSAY_ASSIGN(const size_t set, add(std::move(all)));
    VariantGroup group{VariantGroup::Kind::kJoint, {set}};
    group.members.insert(group.members.end(), singles.begin(), singles.end());
    set_.groups.push_back(std::move(group));
    return {};
  }

  Status joint(std::vector<Variant> variants, const std::string& name) {
    ASSAY_ASSIGN(const std::vector<size_t> singles, alone(std::move(variants)));
    return together(singles, name);
  }

  Status pairs(std::vector<Variant> variants) {
    if (variants.size() > kMostOfPairs)
      return fail(ErrorCode::kBadInput, {"pairs of " + group_digits(variants.size()) + " variants", "are too many",
                                         "at most " + group_digits(kMostOfPairs) + " are paired", ""});
    ASSAY_ASSIGN(const std::vector<size_t> singles, alone(std::move(variants)));
    for (size_t i = 0; i < singles.size(); ++i)
      for (size_t j = i + 1; j < singles.size(); ++j) ASSAY_TRY(together({singles[i], singles[j]}, {}));
    return {};
  }

  Status top(const Family& family) {
    std::map<std::string, std::vector<int>> rankings = family.rankings;
    if (!family.file.empty()) {
      ASSAY_ASSIGN(const std::string text, read_text_file(family.file, kLargestRanking));
      ASSAY_ASSIGN(const nlohmann::json tree, parse_json(text, family.file, RepeatedKeys::kRefuse));
      ASSAY_ASSIGN(rankings, parse_rankings(tree, JsonPlace{family.file, ""}));
    }
    for (const auto& [method, ranking] : rankings) {
      for (const int k : family.k) {
        if (static_cast<size_t>(k) >= ranking.size())
          return fail(ErrorCode::kMismatch, {"ranking '" + printable(method) + "'", "has " + std::to_string(ranking.size()) + " layers",
                                             "leaving out the " + std::to_string(k) + " least important needs more", ""});
        std::vector<int> least(ranking.end() - k, ranking.end());
        std::sort(least.begin(), least.end());
        Variant variant = skip_of(least, family.part);
        variant.name = fmt::format("{}: least {}", printable(method), k) +
                       (family.part == ScheduleEdit::Part::kBlock ? "" : " " + std::string(name_of(family.part)));
        ASSAY_TRY(add(std::move(variant)));
      }
    }
    return {};
  }

  Status requantize(const Family& family) {
    ASSAY_ASSIGN(const std::vector<const TensorInfo*> tensors, matrices(family));
    for (const GgmlType type : family.types) {
      const std::string name = find_type(type)->name;
      size_t left_out = 0;
      for (const TensorInfo* tensor : tensors) {
        if (!row_fits(type, tensor->row_length())) {
          ++left_out;
          continue;
        }
        WeightEdit edit;
        edit.tensor = tensor->name;
        edit.action = WeightEdit::Action::kType;
        edit.type = type;
        ASSAY_TRY(add(weight_variant(std::move(edit), " as " + name)));
      }
      if (left_out == tensors.size())
        return fail(ErrorCode::kMismatch, {"requantize: no matrix", "has rows that " + name + " can hold",
                                           std::to_string(find_type(type)->block_size) + " must divide them", ""});
      if (left_out > 0)
        set_.notes.push_back(
            fmt::format("requantize: {} of {} matrices have rows that {} cannot hold and were left out", left_out, tensors.size(), name));
    }
    return {};
  }

  const ModelShape& shape_;
  VariantSet set_;
  std::unordered_map<std::string, size_t> names_;  // -> place in the set
};

}  // namespace

std::vector<uint64_t> sample_positions(uint64_t count, uint64_t range, uint64_t seed, std::string_view name, uint64_t stream) {
  CounterRandom random(seed, name_stream(name), stream);
  std::unordered_set<uint64_t> seen;
  std::vector<uint64_t> positions;
  while (positions.size() < std::min(count, range)) {
    const uint64_t position = random.next_below(range);
    if (seen.insert(position).second) positions.push_back(position);
  }
  return positions;
}

double joint_interaction(const VariantGroup& group, std::span<const double> damage) {
  CompensatedSum sum;
  for (size_t i = 0; i < group.members.size(); ++i) sum.add(i == 0 ? damage[group.members[i]] : -damage[group.members[i]]);
  return sum.value();
}

Result<VariantSet> expand(const VariantFile& file, const ModelShape& shape) {
  Expander expander(shape);
  // What the message opens with: where in the file it came from.
  const auto placed = [](const char* list, size_t index, Error error) {
    error.message = std::string(list) + "[" + std::to_string(index) + "]: " + error.message;
    return fail(std::move(error));
  };
  for (size_t i = 0; i < file.variants.size(); ++i)
    if (auto added = expander.add(file.variants[i]); !added) return placed("variants", i, std::move(added).error());
  for (size_t i = 0; i < file.families.size(); ++i)
    if (auto made = expander.family(file.families[i]); !made) return placed("families", i, std::move(made).error());
  return expander.take();
}

void override_families(VariantFile& file, const std::vector<LayerRange>& layers, std::optional<uint64_t> samples) {
  for (Family& family : file.families) {
    if (family.layers.empty()) family.layers = layers;
    const bool sampled = family.kind == Family::Kind::kLevels || family.kind == Family::Kind::kBytes;
    if (samples && sampled) family.samples = *samples;
  }
}

}  // namespace assay
