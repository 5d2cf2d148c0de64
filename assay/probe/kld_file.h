// The base-logits file of llama.cpp's `llama-perplexity --kl-divergence-base` (methods.md 1.8), read and written row by row:
//   "_logits_", int32 ctx, vocab, chunks; int32 tokens[chunks * ctx];
//   then per chunk and scored position t in [ctx / 2, ctx - 1): float32 scale, float32 lowest, uint16 codes[vocab] (one of padding when
//   odd); log p_v = scale * code_v + lowest.
// A row spans at most 16 nats below its top: what is under that is lifted to the floor, and steps are up to 2.4e-4 nats. Terms with
// log p <= -16 are left out, as llama.cpp does, since a floored one would count too much. KL is the sum of p phi(d) of the others,
// d = log p - log q, phi(d) = d + expm1(-d): never negative, and llama.cpp's sum of p d but for the masses of both sides.
// Little-endian hosts. Thread-safe reading. Torch-free. Non-goals: other window rules.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/base/sum.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/probe/head_kernels.h"

namespace assay {

struct KldHeader {
  uint32_t ctx = 0;             // tokens per chunk, 4 .. 2^24
  uint32_t vocab = 0;           // 2 .. 2^24
  uint32_t chunks = 0;          // at least 1
  std::vector<int32_t> tokens;  // [chunks * ctx], as in the text (no BOS put in)

  uint32_t score_begin() const { return ctx / 2; }
  uint32_t scored() const { return ctx - 1 - ctx / 2; }  // rows per chunk
  uint64_t rows() const { return uint64_t{chunks} * scored(); }
  // The token that row `row` predicts.
  int32_t label(uint64_t row) const { return tokens[row / scored() * ctx + score_begin() + row % scored() + 1]; }
};

// uint16 words of one row.
constexpr size_t kld_row_words(uint32_t vocab) { return 2 * ((size_t{vocab} + 1) / 2) + 4; }
// logits [vocab], finite -> words [kld_row_words(vocab)].
void encode_kld_row(std::span<const float> logits, std::span<uint16_t> words);
// Compares logits [vocab] with the stored log-probabilities [vocab] of a row. `mass`: the sum of the probabilities that were counted.
PositionObservation compare_stored_row(std::span<const float> log_probabilities, std::span<const float> logits, int32_t label,
                                       double& mass);

// What the format alone does to a row: the row as it would be stored against the logits it is made from.
struct FormatFloor {
  double kl = 0;     // nats, as compare_stored_row has it
  double plain = 0;  // nats, sum of p d as llama.cpp adds it up: without the masses' difference, so that it may be negative
};
FormatFloor format_floor(std::span<const float> logits);

class KldReader {
 public:
  // Checks everything but the rows: magic, ranges, tokens, and that the file's size is exactly what they need. Error: kBadInput, kIo.
  static Result<KldReader> open(std::shared_ptr<const ByteSource> source);
  const KldHeader& header() const { return header_; }
  // Log-probabilities of rows [first, first + count), [count, vocab]. kBadInput names chunk, position and byte of a broken row.
  Status read(uint64_t first, size_t count, std::span<float> log_probabilities) const;
  // Compares a model's logits [out.size(), vocab] with as many rows from `first` on. kBadInput also for a row whose probabilities do not
  // sum to 1, and for logits that are not finite.
  Status compare(uint64_t first, const float* logits, std::span<PositionObservation> out) const;

 private:
  tl::unexpected<Error> broken_row(uint64_t row, std::string found, std::string needed) const;
  uint64_t row_offset(uint64_t row) const;
  std::shared_ptr<const ByteSource> source_;
  KldHeader header_;
};

class KldWriter {
 public:
  // Refuses a header that the reader would not take (kUsage); checks the disk for the whole file first.
  static Result<KldWriter> create(const std::string& path, const KldHeader& header, OutputOptions options);
  // The next rows: logits [count, vocab].
  Status write(std::span<const float> logits);
  // Means over the rows written so far.
  FormatFloor floor() const;
  // All rows must have been written. The file appears under its name only now.
  Status commit();

 private:
  KldWriter(AtomicWriter file, uint32_t vocab, uint64_t rows) : file_(std::move(file)), vocab_(vocab), rows_left_(rows) {}
  AtomicWriter file_;
  uint32_t vocab_;
  uint64_t rows_left_, rows_written_ = 0;
  CompensatedSum floor_kl_, floor_plain_;
};

}  // namespace assay
