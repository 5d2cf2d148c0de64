// The figures of a result file: the model's map, values with intervals, curves, read from what --json wrote.
// Non-goals: the page's own figures (web/), the figures that studies make from measurements (study/).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assay/report/figure.h"
#include "assay/report/report_page.h"

namespace assay {

// In the order of the page; none for a result without anything to draw. `type_bits` as in report_page.h: recipes are drawn by their bits.
// Errors: kBadInput (report_page.h).
Result<std::vector<NamedFigure>> report_figures(const ReportSource& source, const std::map<std::string, double>& type_bits);

}  // namespace assay
