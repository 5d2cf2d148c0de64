#include "assay/model/fingerprint.h"

#include "assay/base/sha256.h"

namespace assay {

Result<std::string> fingerprint(const Checkpoint& checkpoint) {
  Sha256 hash;
  for (const std::string& path : checkpoint.paths()) {
    ASSAY_ASSIGN(const std::string one, sha256_of_file(path, default_cache_dir()));
    hash.add(one);
  }
  return hash.hex();
}

}  // namespace assay
