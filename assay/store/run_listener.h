// What a job tells about its finished units, beside keeping them: for the record of the run and for whoever shows it.
#pragma once

#include <string>

#include "assay/base/unit_cache.h"

namespace assay {

class RunListener {
 public:
  virtual ~RunListener() = default;
  // The run's units lie in this directory.
  virtual void works_in(const std::string& directory) = 0;
  // Those counted as made are on the disk.
  virtual void units(const UnitCounts& counts) = 0;
};

}  // namespace assay
