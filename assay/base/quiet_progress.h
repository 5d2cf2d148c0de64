// A progress for steps of work that tells how far it is itself. Non-goals: work that is not to be stopped (UninterruptedProgress).
#pragma once

#include "assay/base/progress.h"

namespace assay {

// Says nothing of its own, and stops when asked to.
class QuietProgress final : public Progress {
 public:
  explicit QuietProgress(const Progress& outer) : outer_(outer) {}
  bool interrupted() const override { return outer_.interrupted(); }

 private:
  const Progress& outer_;
};

}  // namespace assay
