// A recipe, the file it makes, and what that file does. Internal to job/.
#pragma once

#include <filesystem>
#include <string>

#include "assay/job/optimize.h"
#include "assay/plan/quantize.h"

namespace assay {

// A file that is removed again unless it was moved to its final name.
class ScratchFile {
 public:
  explicit ScratchFile(std::string path) : path_(std::move(path)) { remove(); }
  ~ScratchFile() { remove(); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }
  Status move_to(const std::string& target) {
    std::error_code error;
    std::filesystem::rename(path_, target, error);
    if (error) return fail(ErrorCode::kIo, {target, "cannot be written", error.message(), ""});
    return {};
  }

 private:
  void remove() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  std::string path_;
};

struct CandidateFile {
  explicit CandidateFile(std::string path) : file(std::move(path)) {}
  ScratchFile file;
  bool written = false;
  bool chosen_codes = false;  // else nearest
  Recipe recipe;
  OutputFile output;
  MeasuredFile measured;
};

}  // namespace assay
