// What every job that runs a model is told, and the inputs it opens from it. Torch-free.
#pragma once

#include <cstdint>
#include <string>

#include "assay/model/compute.h"
#include "assay/text/windows.h"

namespace assay {

struct RunSettings {
  Compute compute = Compute::kFloat32;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  uint64_t memory = 0;         // bytes for weights, streams and logits together; 0: what the machine has, less a quarter
  int threads = 0;             // 0: all this process may use
  uint64_t seed = 0;
  std::string store;  // directory where finished units are kept and found again; empty: nowhere
};

// Units of work of a run: those that an earlier run had finished, and those done now.
struct UnitCounts {
  uint64_t found = 0, made = 0;
};

// A text and how it is cut.
struct TextInput {
  std::string path;  // "-": standard input
  WindowOptions windows;
};

}  // namespace assay
