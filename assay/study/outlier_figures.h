// The figures of the outlier study: dose and response, perturbation by layer, labels, targets against their controls, shares of the damage
// of quantization, recovery by patches. Non-goals: words (cli/study_outliers.cpp, docs/studies/outliers.md).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/study/outlier_result.h"

namespace assay {

// Writes NAME.svg and NAME.png into `directory`, which is made; returns their paths. `subtitle`: what was measured, on what.
Result<std::vector<std::string>> write_figures(const OutlierResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
