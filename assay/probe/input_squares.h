// Sums of squared inputs of the model's matrices over a batch of windows, and totals over batches: what an importance matrix is made of.
// Sums are kept apart by window, so that totals do not depend on how windows were batched. Torch in the implementation only.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/payload.h"
#include "assay/base/result.h"
#include "assay/file/imatrix.h"

namespace assay {

// Of one batch.
class InputSquares {
 public:
  // x: a matrix's input, [windows * tokens, columns].
  void add(const std::string& tensor, const at::Tensor& x, int64_t windows);
  void write(PayloadWriter& writer) const;
  static InputSquares read(PayloadReader& reader);

 private:
  friend class InputTotals;
  struct Sums {
    uint64_t tokens = 0;      // of all windows
    std::vector<float> sums;  // [windows, columns]
  };
  std::map<std::string, Sums> tensors_;
};

class InputTotals {
 public:
  void add(const InputSquares& batch, size_t windows);
  Imatrix imatrix(size_t windows, size_t tokens_per_window) const;

 private:
  struct Totals {
    std::vector<double> sums;
    uint64_t tokens = 0;
  };
  std::map<std::string, Totals> tensors_;
};

}  // namespace assay
