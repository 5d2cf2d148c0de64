// The figures of a PQI study: what every layer costs and what first and second order say of it, closure against N, the curvature along the
// step. One of each per type. Non-goals: words (cli/study_pqi.cpp, docs/studies/pqi.md).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/study/pqi_result.h"

namespace assay {

// Writes NAME.svg and NAME.png into `directory`, which is made; returns their paths. `subtitle`: what was measured, on what.
Result<std::vector<std::string>> write_figures(const PqiStudyResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
