// A change of a model as data: what to change, never tensors of a whole model (design.md section 4). Torch-free.
// Text forms: variant_io.h. Usual families: variant_families.h. Non-goals: making the change (resolve_variant.h), running it (sweep.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

// Row and column of a weight in its matrix [out, in].
struct Coordinate {
  uint64_t row = 0, column = 0;
};

// Which weights of a matrix. A head of attn_q, attn_k, attn_v: its rows; of attn_output: its columns.
struct Selection {
  enum class Kind : uint8_t { kAll, kCoordinates, kRow, kColumn, kHead };
  Kind kind = Kind::kAll;
  std::vector<Coordinate> coordinates;
  uint64_t index = 0;  // of the row, column or head
};

struct WeightEdit {
  enum class Action : uint8_t {
    kSet,      // to `value`
    kAdd,      // `value`
    kScale,    // by `value`
    kNoise,    // normal, standard deviation `value` of the matrix's own, seeded
    kLevel,    // the stored code by `step` (+1, -1); a weight at the end of its range stays. Grid types: the sign flip (code_move.h)
    kByte,     // stored byte `byte` of the tensor, plus `step` modulo 256
    kType,     // w + share (w~ - w) with w~ encoded at `type`
    kFile,     // the same with w~ the tensor of that name in `file`
    kLowRank,  // + a b with a [out, r], b [r, in]: tensors NAME.a and NAME.b of the safetensors file `file`, times `value`
  };
  std::string tensor;  // its name as GGUF; rows, columns and bytes are those of Checkpoint::read
  Selection where;     // kSet, kAdd, kScale, kNoise, kLevel
  Action action = Action::kSet;
  double value = 0;
  uint64_t seed = 0;
  int step = 0;
  uint64_t byte = 0;
  GgmlType type = GgmlType::kF32;
  double share = 1;
  std::string file;
};

// Which blocks run in which order; applied one after another to 0, 1, ..., layers - 1.
struct ScheduleEdit {
  enum class Action : uint8_t { kSkip, kRepeat, kOrder };
  enum class Part : uint8_t { kBlock, kAttention, kFfn };
  Action action = Action::kSkip;
  int first = 0, last = 0;   // blocks [first, last]; kSkip, kRepeat
  Part part = Part::kBlock;  // kSkip: what is left out
  int times = 1;             // kRepeat: runs in all
  double gamma = 1;          // kRepeat: every run of these blocks adds gamma times what it would add
  std::vector<int> order;    // kOrder
};

// Another rule for what a head's queries see (methods.md 2.11).
struct AttentionEdit {
  enum class Rule : uint8_t { kFull, kTop1, kTopK, kLowRank };
  int layer = 0;
  std::vector<int> heads;  // query heads; empty: all
  Rule rule = Rule::kTop1;
  int k = 1;          // kTopK: keys; kLowRank: rank, at most that of the basis
  std::string basis;  // kLowRank: safetensors file, tensor blk.L.head.H [head_dim, ranks]
};

// The residual stream at a block's output, from what the unedited model has there (methods.md 2.7). delta = base - edited.
struct ResidualEdit {
  enum class Form : uint8_t {
    kReplace,     // + delta at `layer`
    kFirst,       // + delta at the first block that the variant changes
    kCumulative,  // + delta of the unpatched edited model at every block's output: the published form, which over-shoots
  };
  Form form = Form::kReplace;
  int layer = 0;
  int rank = 0;  // delta's projection on its first principal directions (centred), window by window; 0: delta itself
};

struct Variant {
  std::string name;  // no part of the hash
  std::vector<WeightEdit> weights;
  std::vector<ScheduleEdit> schedule;
  std::vector<AttentionEdit> attention;
  std::vector<ResidualEdit> residual;
};

// A text that is equal for equal changes: the compact JSON of variant_io.h without the name, coordinates and heads sorted. SHA-256 of it in
// hex. Files are named in it: a key of finished work must hash their bytes too.
std::string canonical(const Variant& variant);
std::string hash_of(const Variant& variant);

// The files that a variant names, each once.
std::vector<std::string> files_of(const Variant& variant);

}  // namespace assay
