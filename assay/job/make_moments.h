// Second moments of a text to a file, with the damping that holds best on tokens held back. Internal to job/.
#pragma once

#include <string>
#include <vector>

#include "assay/file/imatrix.h"
#include "assay/file/moments.h"
#include "assay/job/inputs.h"

namespace assay {

struct MadeMoments {
  Imatrix imatrix;                        // the diagonals
  std::map<std::string, double> damping;  // by role of the input: "attn_q", "ffn_down"
  std::vector<std::string> warnings;      // inputs with too few tokens for their width
};

// Writes `path`, going on where an earlier run of the same inputs stopped.
Result<MadeMoments> make_moments(const OpenModel& model, const ProbeSet& set, const std::string& dataset, bool process_output,
                                 const std::string& path, const OutputOptions& output, Progress& progress);

// A file of second moments, the head's too, that lasts as long as the object; one that was not finished stays for the next run. The
// imatrix is without the head, as llama.cpp makes it unless asked.
class ScratchMoments {
 public:
  ScratchMoments() = default;
  static Result<ScratchMoments> make(const OpenModel& model, const ProbeSet& set, const std::string& dataset, const std::string& path,
                                     Progress& progress);
  ~ScratchMoments();
  ScratchMoments(ScratchMoments&& other) noexcept;
  ScratchMoments& operator=(ScratchMoments&& other) noexcept;
  const std::string& path() const { return path_; }
  const MadeMoments& made() const { return made_; }

 private:
  std::string path_;
  MadeMoments made_;
};

}  // namespace assay
