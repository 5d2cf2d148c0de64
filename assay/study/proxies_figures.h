// The proxies study's figure: every changed model, each proxy against the margin that tasks lose, a panel per proxy. Torch-free.
#pragma once

#include <string>
#include <vector>

#include "assay/report/figure.h"
#include "assay/study/proxies_result.h"

namespace assay {

// proxies.svg and proxies.png in `directory`, which is made; returns their paths.
Result<std::vector<std::string>> write_figures(const ProxiesResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
