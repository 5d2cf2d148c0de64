// First-order terms of a damage table's cells as a file (`assay score --terms`), for plans that count interactions: a safetensors file with
// a float32 tensor [terms] per cell, named ROW@TYPE. Metadata, all strings: model_sha256 and table_sha256 (rows_sha256 of the table the
// terms were made with), estimator, seed, token_fraction, samples, windows, scale, version. Non-goals: the terms (score/curvature.h).
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/safetensors_write.h"
#include "assay/plan/damage_table.h"

namespace assay {

std::string terms_name(const std::string& row, GgmlType type);

class TermsWriter {
 public:
  // `terms`: of every cell of the table. `facts`: more metadata. Errors: those of SafetensorsWriter.
  static Result<TermsWriter> create(const std::string& path, const DamageTable& table, size_t terms,
                                    std::map<std::string, std::string> facts, const OutputOptions& options);
  Status write(const std::string& row, GgmlType type, std::span<const float> terms) { return file_.write(terms_name(row, type), terms); }
  uint64_t bytes() const { return file_.bytes(); }
  Status commit() { return file_.commit(); }  // kInternal: a cell was not written

 private:
  explicit TermsWriter(SafetensorsWriter file) : file_(std::move(file)) {}
  SafetensorsWriter file_;
};

// The terms of every cell of a table, in memory.
class TermsFile {
 public:
  // Cells with damage 0 may lack. Errors: kMismatch (made with another table or for `model_sha256`, where both are known; a cell without
  // terms), kBadInput (no float32 vector, another length, a value that is not finite), those of reading safetensors.
  static Result<TermsFile> read(const std::string& path, const DamageTable& table, const std::string& model_sha256);
  std::span<const float> terms(const std::string& row, GgmlType type) const;  // empty: none
  size_t length() const { return length_; }
  size_t run() const { return run_; }  // terms of one window, which follow one another; 1: the file does not say

 private:
  size_t length_ = 0, run_ = 1;
  std::unordered_map<std::string, std::vector<float>> cells_;
};

}  // namespace assay
