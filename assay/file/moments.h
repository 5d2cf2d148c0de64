// Second moments of a model's linear inputs, X^T X / tokens, in a safetensors file: one F32 matrix [inputs, inputs] per input, named
// after the first matrix that reads it ("blk.0.attn_q.weight"); matrices that read the same input (k, v; up) are named in the metadata.
// Metadata, all strings: format, tokens, inputs' hashes, datasets, `shared.<tensor>` = the name its moments are under, `sha256.<tensor>`.
// A writer that was killed goes on where it stopped: "<path>.partial" holds the finished matrices, "<path>.partial.done" says which.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/safetensors.h"

namespace assay {

struct MomentInput {
  std::string tensor;               // the first matrix that reads it
  std::vector<std::string> shared;  // the others
  uint64_t width = 0;
};

// What a moments file says of itself.
struct MomentsHeader {
  std::vector<MomentInput> inputs;
  uint64_t tokens = 0;                            // that every input saw
  std::map<std::string, std::string> provenance;  // model_sha256, corpus_sha256, datasets, ...
};

class MomentsFile {
 public:
  // Errors: kBadInput (not such a file, a matrix that is not square), and Safetensors::parse's.
  static Result<MomentsFile> open(const std::string& path);
  const MomentsHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  // The input that a tensor reads; nullptr: the file has none.
  const MomentInput* find(std::string_view tensor) const;
  // [width, width]. kBadInput: the bytes are not those that were hashed.
  Result<std::vector<float>> read(const MomentInput& input) const;

 private:
  std::string path_;
  std::shared_ptr<const Safetensors> tensors_;
  MomentsHeader header_;
};

class MomentsWriter {
 public:
  // Goes on with "<path>.partial" where its header is the same. Errors: kUsage (the output exists, is an input), kNoSpace, kIo.
  static Result<MomentsWriter> create(const std::string& path, const MomentsHeader& header, const OutputOptions& options);
  MomentsWriter(MomentsWriter&&) noexcept;
  MomentsWriter& operator=(MomentsWriter&&) noexcept;
  ~MomentsWriter();  // without commit(): what is finished stays for the next writer

  size_t finished() const;  // inputs already there; the next to add
  // Of input number finished(); [width, width]. `note` is found again by the next writer and is not in the file.
  Status add(std::span<const float> matrix, const std::string& note = {});
  const std::map<std::string, std::string>& notes() const;  // by input
  // A finished matrix, from this run or an earlier one.
  Result<std::vector<float>> read(size_t input) const;
  // `late`: provenance that was not known before; it must fit the header's reserve of kReserve bytes.
  Status commit(const std::map<std::string, std::string>& late = {});
  static constexpr uint64_t kReserve = 4096;

 private:
  struct State;
  explicit MomentsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Token-weighted mean of several files over the same inputs. kMismatch names the file and the input that differ.
Status merge_moments(std::span<const MomentsFile> files, const std::string& path, const OutputOptions& options);

}  // namespace assay
