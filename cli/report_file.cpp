#include "cli/report_file.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "assay/plan/foreign_types.h"

namespace assay::cli {

Result<std::string> report_template() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return read_report_template((program.parent_path() / "share" / "report.html").string());
}

std::map<std::string, double> report_type_bits() {
  std::map<std::string, double> bits;
  for (const TypeSize& type : all_type_sizes()) {
    std::string name = type.name;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
    bits[name] = type.bits_per_weight();
  }
  return bits;
}

Result<uint64_t> write_report(const std::string& path, const std::string& page_template, std::span<const ReportSource> results,
                              const OutputOptions& output) {
  ASSAY_ASSIGN(const std::string page, make_report_page(page_template, results, report_type_bits()));
  ASSAY_TRY(write_text_file(path, page, output));
  return page.size();
}

}  // namespace assay::cli
