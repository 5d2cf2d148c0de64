// Which files of a repository are meant: a GGUF by its type, the parts of a split one, the files of a Hugging Face checkpoint.
// Non-goals: looking into files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/hub/repository.h"

namespace assay {

struct ChosenFiles {
  std::vector<RepositoryFile> files;
  std::string entry = {};  // the file to open, in the repository; empty: its directory
};

// `type` as in OWNER/NAME:TYPE, in any case. Looked for in this order, the first that finds anything decides: a GGUF's file name (with or
// without ".gguf"), the end of its name after '-', '.' or '_', a part of its name between such, its directory. Without a type: the
// safetensors checkpoint, else the only GGUF. Errors list the choices: kNotFound (none fits), kUsage (several do).
Result<ChosenFiles> choose_model_files(std::span<const RepositoryFile> files, const std::string& type, const std::string& who);

// Files by path or by pattern (*, ? and [...], which match slashes too). kNotFound names the pattern without a file.
Result<ChosenFiles> choose_named_files(std::span<const RepositoryFile> files, const std::vector<std::string>& patterns,
                                       const std::string& who);

}  // namespace assay
