#include "assay/base/nearest_names.h"

#include <algorithm>

namespace assay {

std::vector<std::string> nearest_names(std::string_view given, const std::vector<std::string>& known, size_t most) {
  const size_t far = std::max<size_t>(2, given.size() / 3) + 1;
  std::vector<std::pair<size_t, const std::string*>> near;
  for (const std::string& name : known) {
    std::vector<size_t> row(name.size() + 1);
    for (size_t j = 0; j <= name.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= given.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= name.size(); ++j) {
        const size_t replaced = diagonal + (given[i - 1] == name[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < far) near.emplace_back(row.back(), &name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(near.size(), most); ++i) names.push_back(*near[i].second);
  return names;
}

}  // namespace assay
