// Makes variants ready for a sweep: which matrix of which block changes and by what, the blocks that run, rules of attention, patches.
// Changes of a few weights are made at once and kept; those of whole matrices are made when the sweep asks for them.
// Non-goals: whether a variant fits the model (check_variant.h comes first).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/changes.h"
#include "assay/probe/check_variant.h"
#include "assay/probe/sweep.h"
#include "assay/probe/variant.h"

namespace assay {

// Where a tensor's change applies: a block's matrix, a tied embedding at both ends of the model.
std::vector<ResolvedEdit> edits_of(const Network& network, const std::string& tensor, const std::string& key,
                                   const std::function<Result<WeightChange>()>& make);

// What a variant that moves one code or byte changes; no weight: the code is at the end of its range. nullopt: any other variant.
std::optional<std::vector<SparseWeight>> moved_weights(const Variant& variant, const ResolvedVariant& resolved);

class VariantResolver {
 public:
  // `changes` outlives the resolver and what it resolves.
  VariantResolver(std::shared_ptr<const Network> network, const ChangeSource& changes);
  ~VariantResolver();
  // Of a variant that passed check(). Errors: a file it names that is missing, broken or of other shapes.
  Result<ResolvedVariant> resolve(const Variant& variant);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
