// The figures of a study of crystallised attention: recovery by rank and basis, perplexity against the energy a basis keeps, spectra of the
// residual, the crystallisation map. Non-goals: words (cli/study_attention.cpp, docs/studies/attention.md).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/study/attention_result.h"

namespace assay {

// Writes NAME.svg and NAME.png into `directory`, which is made; returns their paths. `subtitle`: what was measured, on what.
Result<std::vector<std::string>> write_figures(const AttentionResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
