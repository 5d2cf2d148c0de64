// Importance matrices: mean squared input activations per input column, in llama.cpp's two formats (GGUF and legacy .dat).
// methods.md 3.12, peers.md 1.3. Of the extra tensors of newer tools in_sum is read and written where it is
// there, others (stats) are read past.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"

namespace assay {

// Raw sums of one weight tensor. matrices > 1 for experts: sums[m * columns + j], counts[m].
// A .dat file knows neither tokens nor experts: its counts are chunks (chunk_size is 0) and an entry is one matrix.
struct ImatrixEntry {
  uint64_t columns = 0;
  std::vector<float> sums;         // sum over tokens of x_j^2
  std::vector<float> counts;       // tokens seen per matrix
  std::vector<float> inputs = {};  // sum over tokens of x_j, laid out as sums; empty: not known, as of most files
};

struct Imatrix {
  std::map<std::string, ImatrixEntry> entries;  // by GGUF tensor name ("blk.0.attn_q.weight")
  std::vector<std::string> datasets;
  uint32_t chunk_count = 0;
  uint32_t chunk_size = 0;

  // The quantizer's weights sums/counts for a tensor, columns * matrices long; empty if the tensor has no entry.
  // 1 for a matrix that saw no token (an expert never chosen), as llama.cpp does.
  std::vector<float> importance(const std::string& tensor) const;
  // Mean inputs, as long; empty if they are not known. 0 for a matrix that saw no token.
  std::vector<float> mean_inputs(const std::string& tensor) const;
  // Adds another run's sums, all or nothing; kMismatch names the tensor whose width differs.
  Status merge(const Imatrix& other);
};

enum class ImatrixFormat { kGguf, kDat };
Result<Imatrix> read_imatrix(const std::string& path);  // either format, told by the magic
Result<Imatrix> parse_imatrix(std::shared_ptr<ByteSource> source);
Status write_imatrix(const std::string& path, const Imatrix& imatrix, ImatrixFormat format, const OutputOptions& options);

}  // namespace assay
