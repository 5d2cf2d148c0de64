// The files that edits name, each opened once: other models, and safetensors files of float32 matrices. Torch-free; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/safetensors.h"
#include "assay/model/checkpoint.h"

namespace assay {

// [rows, columns], row-major.
struct FileMatrix {
  uint64_t rows = 0, columns = 0;
  std::vector<float> values;
};

// left [out, rank] times right [rank, in].
struct ThinMatrices {
  FileMatrix left, right;
};

class EditFiles {
 public:
  Result<std::shared_ptr<const Checkpoint>> model(const std::string& path);
  // Of a safetensors file. Errors: kMismatch (no such tensor, not a float32 matrix), kBadInput (NaN or infinite values).
  Result<FileMatrix> matrix(const std::string& path, const std::string& tensor);
  // Matrices NAME.a and NAME.b, NAME the tensor's. Error, kMismatch: their product has another shape than the tensor.
  Result<ThinMatrices> thin(const std::string& path, const TensorInfo& tensor);

 private:
  std::map<std::string, std::shared_ptr<const Checkpoint>> models_;
  std::map<std::string, std::shared_ptr<const Safetensors>> files_;
};

}  // namespace assay
