// A model's matrices encoded with codes chosen under second moments, each at most once: as bytes for a file, as changes for the
// curvature table. Matrices that have no second moments, or whose type has no codes of its own, are left to the plain encoders.
// Internal to job/.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/base/unit_cache.h"
#include "assay/codes/encode_codes.h"
#include "assay/file/moments.h"
#include "assay/model/checkpoint.h"
#include "assay/plan/quantize.h"

namespace assay {

class CodeSource {
 public:
  // All references must outlive the source. Errors of the moments: see check_moments().
  // Encoded bytes stay in memory up to `cache_bytes`, and in `units` if they are kept there.
  CodeSource(const Checkpoint& checkpoint, const MomentsFile& moments, Codes codes, int threads, UnitCache& units, uint64_t cache_bytes);

  bool covers(const std::string& tensor, GgmlType type) const;
  // The tensor's bytes at a type that it covers.
  Result<std::vector<std::byte>> encoded(const std::string& tensor, GgmlType type);
  // Decoded bytes minus the tensor, [out, in].
  Result<at::Tensor> change(const std::string& tensor, GgmlType type);
  TensorEncoder encoder();
  // What was done for the tensors encoded so far, by name.
  const std::map<std::string, CodesReport>& reports() const { return reports_; }

 private:
  Result<at::Tensor> weight(const std::string& tensor) const;
  Result<std::shared_ptr<const SecondMoment>> moment_of(const MomentInput& input);

  const Checkpoint& checkpoint_;
  const MomentsFile& moments_;
  Codes codes_;
  int threads_;
  UnitCache& units_;
  uint64_t cache_bytes_;
  std::map<std::string, std::string> cached_;  // payloads by unit
  uint64_t cached_bytes_ = 0;
  std::string prepared_name_;
  std::shared_ptr<const SecondMoment> prepared_;  // the input used last: its matrices come one after another
  std::map<std::string, CodesReport> reports_;
};

// The moments belong to this model: every input names one of its tensors, of its row length. Errors: kMismatch.
Status check_moments(const MomentsFile& moments, const Checkpoint& checkpoint);
// The damping to use for an input of a file (its metadata, else kDefaultDamping).
double damping_of(const MomentsFile& moments, const MomentInput& input);
inline constexpr double kDefaultDamping = 0.01;

}  // namespace assay
