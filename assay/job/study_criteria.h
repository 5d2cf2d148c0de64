// A study's criteria in the store: kept before its first unit, so that criteria changed afterwards are known as such. Internal to job/.
#pragma once

#include <span>

#include "assay/base/result.h"
#include "assay/job/unit_store.h"
#include "assay/study/conclusion.h"

namespace assay {

// Sets criteria_hash, and post_hoc where others were kept under `key` (what is measured, apart from the criteria).
Status register_criteria(UnitStore& store, UnitKey key, std::span<const Criterion> criteria, StudyConclusion& conclusion);

}  // namespace assay
