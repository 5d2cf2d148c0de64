#include "assay/job/study_criteria.h"

#include <string>
#include <utility>

#include "assay/study/criterion_io.h"

namespace assay {

Status register_criteria(UnitStore& store, UnitKey key, std::span<const Criterion> criteria, StudyConclusion& conclusion) {
  conclusion.criteria_hash = hash_of(criteria);
  const auto units = store.units(std::move(key));
  const auto work = [&]() -> Result<std::string> { return conclusion.criteria_hash; };
  ASSAY_ASSIGN(const std::string kept, find_or_make(*units, "criteria", work));
  conclusion.post_hoc = kept != conclusion.criteria_hash;
  return store.flush();
}

}  // namespace assay
