// One-at-a-time measurements that others published: what storing one tensor of a model in a low type did to KL divergence or perplexity.
// The files are those of the GGUF tool suite: a table `kld_results.csv` or `ppl_results.csv` (first column QTYPE, a column per tensor, 404
// or 404% for "not measured"; all cells plain or all in percent), `group0/kld_results.csv` (the whole model at a type, column group0)
// and `tensors.*.map` (FILE:SHA256:NAME:shape=(..):dtype=..:elements=..:bytes=..[:more], one tensor a line).
// Untrusted input: every fault is a kBadInput error that names line and field. Lines end in LF or CR LF.
// What the numbers do not say: their noise (there are no intervals over text), and the offset that all of a table may share, because the
// model they start from is not the original; ranks do not see it.
// Torch-free. Non-goals: the types' bytes, recipes, choosing types.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"
#include "assay/score/name_scores.h"
#include "assay/score/tournament.h"

namespace assay {

struct PublishedRow {
  std::string type;            // as written: "iq1_kt", "q8_KV"; many are not ggml's
  std::vector<double> values;  // [columns]; NaN: not measured
};

struct PublishedTable {
  std::vector<std::string> columns;  // tensor names, or "group0"
  std::vector<PublishedRow> rows;
  bool percent = false;  // values are relative changes in percent
};
Result<PublishedTable> read_published_table(const ByteSource& source);

struct MappedTensor {
  std::string name;
  std::vector<uint64_t> shape;  // GGUF order: row length first
  std::string dtype;            // "bf16", "f32"
  uint64_t elements = 0, bytes = 0;
};
Result<std::vector<MappedTensor>> read_tensor_map(const ByteSource& source);
// As a file's header would name it; bytes are those of the map. Errors: kUnsupported, a type that is not ggml's.
Result<TensorInfo> tensor_info(const MappedTensor& tensor);
MappedTensor mapped_tensor(const TensorInfo& tensor);

// A number that was measured once: of a tensor at a type, or of several of one block that were changed together.
struct PublishedMeasurement {
  std::vector<NamedTensor> tensors;
  std::string name, role;  // "blk.3.attn_k+attn_v", "attn_k+attn_v"
  std::string type;
  double value = 0;
};

struct PublishedTruth {
  std::vector<PublishedMeasurement> measurements;
  std::vector<std::string> not_run;  // tensors of blocks that the measured program skips
  NamedModel model;                  // of the tensors that it runs
};

// Numbers of a table that are copies of each other are one measurement, or chance would be beaten by repetition: two roles are taken as
// changed together where their values agree at every type in at least half of the blocks that have both, and in two, and are joined in
// those blocks. A block of three roles and more whose values are all the same was never run (it drafts tokens) and is left out. Errors:
// kMismatch, a tensor that the map lacks, or no number at all; kUnsupported, a block of more than 256 tensors.
Result<PublishedTruth> published_truth(const PublishedTable& table, std::span<const MappedTensor> map);

// As the tournament takes it; a score of names on the same items.
TournamentTruth tournament_truth(const PublishedTruth& truth);
TournamentScore tournament_score(const PublishedTruth& truth, const NameScore& score);

}  // namespace assay
