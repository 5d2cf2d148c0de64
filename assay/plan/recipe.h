// A recipe: tensor -> ggml type. Kept as llama-quantize's --tensor-type-file lines (`^anchored regex$=type`, each tensor once),
// so that a recipe made here works there and the other way round. Reading: recipe_io.h.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

struct Recipe {
  std::map<std::string, GgmlType> types;  // by tensor name; tensors not named keep the rule of the writer
};

// One line per tensor, in the order of the names. Upper-case letters (llama-quantize lower-cases patterns) and bytes that end a
// token there are written as classes and escapes that survive.
std::string to_text(const Recipe& recipe);

}  // namespace assay
