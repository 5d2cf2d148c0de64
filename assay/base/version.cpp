#include "assay/base/version.h"

namespace assay {

const char* program_version() { return ASSAY_VERSION; }

}  // namespace assay
