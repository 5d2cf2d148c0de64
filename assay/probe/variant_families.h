// Families of variants: a line of data that stands for thousands (every layer skipped, N sampled codes per matrix in both directions).
// expand() makes them for one model and says which belong together. A family's variants are a function of its data, the model's names,
// shapes and types; never of order, threads or weights. The text form: docs/variants.md.
// Non-goals: scores (job/), whether a sampled code can move (a weight at the end of its range stays: the damage is exactly 0).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/json_object.h"
#include "assay/probe/check_variant.h"
#include "assay/probe/layer_list.h"
#include "assay/probe/variant.h"

namespace assay {

struct Family {
  enum class Kind : uint8_t {
    kSkipEachLayer,    // every layer left out, alone
    kSkipPairs,        // every two of them, and each alone
    kRepeatEachLayer,  // every layer run `times` times, under each gamma
    kLevels,           // `samples` weights per matrix, each one level up and one down (methods.md 2.2)
    kBytes,            // `samples` stored bytes per matrix, each plus 1 and minus 1 modulo 256 (methods.md 2.3)
    kZero,             // each of `coordinates` set to 0; with `joint` also all of them at once
    kPairs,            // every two of the variants `of` at once, and each alone
    kJoint,            // all of `of` at once, and each alone
    kTop,              // for every ranking and every k: the k least important layers left out
    kRequantize,       // every matrix at every type
  };
  struct Weight {
    std::string tensor;
    Coordinate at;
  };

  Kind kind = Kind::kSkipEachLayer;
  std::vector<LayerRange> layers;                        // empty: all
  ScheduleEdit::Part part = ScheduleEdit::Part::kBlock;  // kSkipEachLayer, kSkipPairs, kTop: what is left out
  std::vector<std::string> tensors;                      // roles ("attn_q") or whole names; empty: the matrices of a block
  int times = 2;                                         // kRepeatEachLayer
  std::vector<double> gammas = {1};                      // kRepeatEachLayer
  uint64_t samples = 100;                                // per matrix; the first 50 of 100 are the 50
  uint64_t seed = 42;                                    // of the samples
  std::vector<Weight> coordinates;                       // kZero
  bool joint = false;                                    // kZero
  std::vector<Variant> of;                               // kPairs, kJoint
  std::string file;                                      // kTop: JSON {method: [layers, most important first]}
  std::map<std::string, std::vector<int>> rankings;      // kTop: the same, given in place of a file
  std::vector<int> k;                                    // kTop
  std::vector<GgmlType> types;                           // kRequantize
};

struct VariantFile;

// Which variants belong together, as indices into the set's variants.
struct VariantGroup {
  enum class Kind : uint8_t {
    kJoint,     // all changes at once, then each alone: I(S) = A(S) - sum A({c}) (methods.md 2.1)
    kTwoSided,  // one weight or byte, up and down
  };
  Kind kind = Kind::kJoint;
  std::vector<size_t> members;
};

struct VariantSet {
  std::vector<Variant> variants;  // names are unique; equal changes of one name are one variant
  std::vector<VariantGroup> groups;
  std::vector<std::string> notes;  // what a family left out and why
};

// A file's variants, then those of its families, each checked against the model (check_variant.h). Variants without a name get the first
// 12 digits of their hash. Errors: those of check(), a sample larger than the matrix, too many variants, a ranking that does not fit.
Result<VariantSet> expand(const VariantFile& file, const ModelShape& shape);

// Options of a run: layers for every family that names none, samples for every sampling family in place of its own.
void override_families(VariantFile& file, const std::vector<LayerRange>& layers, std::optional<uint64_t> samples);

// I(S) of a kJoint group; `damage` per variant of the set.
double joint_interaction(const VariantGroup& group, std::span<const double> damage);

// `count` of 0 .. range - 1 without replacement, uniform, in the order drawn: fewer are the beginning of more.
// A function of seed, name and stream alone. Needs count <= range.
std::vector<uint64_t> sample_positions(uint64_t count, uint64_t range, uint64_t seed, std::string_view name, uint64_t stream);

// The names and keys of the text form. Errors: kBadInput with the place.
Result<Family> parse_family(const nlohmann::json& node, const JsonPlace& place);
Result<std::map<std::string, std::vector<int>>> parse_rankings(const nlohmann::json& node, const JsonPlace& place);

}  // namespace assay
