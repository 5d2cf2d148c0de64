#include "assay/base/progress.h"

namespace assay {

Progress& silent_progress() {
  static Progress silent;
  return silent;
}

}  // namespace assay
