// Which ggml types llama.cpp's backends multiply with: a matrix of another type is computed on the CPU, or stops the program. One table of
// facts, read from the sources of ggml at https://github.com/ggml-org/llama.cpp as of August 2026 (builds near b10572):
//   cuda    ggml-cuda.cu, supports_op of MUL_MAT, commit 00108827; rocm (HIP) and musa are built from the same file
//   vulkan  ggml-vulkan.cpp, supports_op of MUL_MAT, commit 000651ca
//   metal   ggml-metal-device.cpp, the types that have a product kernel, commit 000cfab8 (supports_op refuses none); TQ2_0 has one only in
//           some builds and counts as not there
//   sycl    convert.cpp, the types that are decoded (supports_op refuses none), as of the same month
//   cpu     everything that a file can hold
// Q1_0 and Q2_0 are new everywhere: older builds read no file that holds them. A device may add limits of its own (BF16 on old GPUs).
// Non-goals: speed (TypeSpeeds in allocate.h), other operations, other programs.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

struct Backend {
  std::string_view name;            // lower case: "cuda"
  std::span<const GgmlType> lacks;  // of the types that a matrix may have
};
std::span<const Backend> all_backends();
Result<const Backend*> find_backend(std::string_view name);  // kUsage lists the known ones

// The types that it multiplies with, in the order of all_types(); integers and the types of run time (Q8_1, Q8_K) are in none.
std::vector<GgmlType> types_of(const Backend& backend);
bool multiplies(const Backend& backend, GgmlType type);

}  // namespace assay
