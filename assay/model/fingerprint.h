// What a checkpoint is recognised by: the bytes of its files. Non-goals: recognising equal weights in files that differ.
#pragma once

#include <string>

#include "assay/base/result.h"
#include "assay/model/checkpoint.h"

namespace assay {

// SHA-256 over the SHA-256 of every file it was read from; those are cached by the files' sizes and times.
Result<std::string> fingerprint(const Checkpoint& checkpoint);

}  // namespace assay
