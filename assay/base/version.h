// The version of the program, "0.1.0", for what it writes. Non-goals: the build (job/unit_store.h has its hash).
#pragma once

namespace assay {

const char* program_version();

}  // namespace assay
