#include "assay/probe/edit_files.h"

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"

namespace assay {

Result<std::shared_ptr<const Checkpoint>> EditFiles::model(const std::string& path) {
  auto& model = models_[path];
  if (!model) {
    ASSAY_ASSIGN(model, Checkpoint::open(path));
  }
  return model;
}

Result<FileMatrix> EditFiles::matrix(const std::string& path, const std::string& tensor) {
  auto& file = files_[path];
  if (!file) {
    ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
    ASSAY_ASSIGN(Safetensors opened, Safetensors::parse(std::move(source)));
    file = std::make_shared<const Safetensors>(std::move(opened));
  }
  const std::string who = path + ": tensor '" + printable(tensor) + "'";
  const SafetensorInfo* info = file->find(tensor);
  if (info == nullptr) return fail(ErrorCode::kMismatch, {path, "has no tensor '" + printable(tensor) + "'", "", ""});
  if (info->dtype != "F32" || info->shape.size() != 2)
    return fail(ErrorCode::kMismatch, {who, "is " + info->dtype + " with " + std::to_string(info->shape.size()) + " dimensions",
                                       "a float32 matrix is needed", ""});
  FileMatrix matrix{info->shape[0], info->shape[1], std::vector<float>((info->end - info->begin) / sizeof(float))};
  ASSAY_TRY(file->read(*info, 0, std::as_writable_bytes(std::span(matrix.values))));
  if (!std::all_of(matrix.values.begin(), matrix.values.end(), [](float value) { return std::isfinite(value); }))
    return fail(ErrorCode::kBadInput, {who, "holds NaN or infinite values", "", "a damaged file?"});
  return matrix;
}

Result<ThinMatrices> EditFiles::thin(const std::string& path, const TensorInfo& tensor) {
  ThinMatrices thin;
  ASSAY_ASSIGN(thin.left, matrix(path, tensor.name + ".a"));
  ASSAY_ASSIGN(thin.right, matrix(path, tensor.name + ".b"));
  if (thin.left.rows == tensor.rows() && thin.right.columns == tensor.row_length() && thin.left.columns == thin.right.rows) return thin;
  return fail(ErrorCode::kMismatch, {path + ": tensors '" + printable(tensor.name) + ".a' and '.b'", "have other shapes",
                                     "[out, rank] and [rank, in]", "for another model?"});
}

}  // namespace assay
