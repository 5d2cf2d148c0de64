// Values of single weights as files (`assay score --weights`): one safetensors file per score and type, DIR/taylor1_abs.Q4_K.safetensors or
// DIR/fisher.safetensors, a float32 tensor [out, in] per matrix under its GGUF name. A tensor's sum is the score's value of the matrix.
// Metadata, all strings: score, type, unit, what, version, and what describe() was given.
// Memory: that of the headers; files have their full size on the disk from their score's first matrix on, and their names at the end.
// Non-goals: the values (score/weight_values.h).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/file/safetensors_write.h"
#include "assay/job/score_model.h"
#include "assay/score/weight_values.h"

namespace assay {

class WeightFiles final : public WeightSink {
 public:
  // Makes the directory, and refuses what is there before the work rather than after it. Errors: kUsage (a file is there, without
  // `force`; no score has values of single weights), kIo.
  static Result<std::unique_ptr<WeightFiles>> prepare(const std::string& directory, std::span<const std::shared_ptr<Score>> scores,
                                                      std::span<const GgmlType> types, bool force);

  // For the metadata of all files.
  void describe(std::map<std::string, std::string> facts) { facts_ = std::move(facts); }
  const std::vector<std::string>& left_out() const { return left_out_; }  // scores without values of single weights

  bool wants(const Score& score) const override { return score.has_weight_values(); }
  Status expect(const Score& score, std::span<const WeightedMatrix> matrices) override;
  Status take(const Score& score, std::optional<GgmlType> type, const std::string& tensor, std::span<const float> terms) override;

  // All files get their names; each is read once more for its shares. Without it nothing stays but the directory.
  Result<std::vector<WeightFile>> finish(Progress& progress);

 private:
  struct Open {
    WeightFile made;
    SafetensorsWriter writer;
  };
  WeightFiles(std::string directory, std::span<const GgmlType> types, bool force)
      : directory_(std::move(directory)), types_(types.begin(), types.end()), force_(force) {}
  std::string path_of(std::string_view score, std::optional<GgmlType> type) const;
  Status open(const ScoreInfo& score, std::optional<GgmlType> type, std::span<const WeightedMatrix> matrices);

  std::string directory_;
  std::vector<GgmlType> types_;
  bool force_;
  std::map<std::string, std::string> facts_;
  std::vector<std::string> left_out_;
  std::mutex mutex_;  // of take()
  std::vector<Open> files_;
};

}  // namespace assay
