// The figures of a Q-PSA study: ranks of two scores against each other, what is left after pruning, convergence, where the byte score
// comes from. A figure that a run has no data for is not made. Non-goals: words (cli/study.cpp, docs/studies/qpsa.md).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/study/qpsa_result.h"

namespace assay {

// Writes NAME.svg and NAME.png into `directory`, which is made; returns their paths. `subtitle`: what was measured, on what.
Result<std::vector<std::string>> write_figures(const QpsaResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
