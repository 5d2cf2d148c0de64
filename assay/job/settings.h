// What every job that runs a model is told, and the inputs it opens from it. Torch-free.
#pragma once

#include <cstdint>
#include <string>

#include "assay/base/unit_cache.h"
#include "assay/model/compute.h"
#include "assay/store/run_listener.h"
#include "assay/text/windows.h"

namespace assay {

struct RunSettings {
  Compute compute = Compute::kFloat32;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  uint64_t memory = 0;         // bytes for weights, streams and logits together; 0: what the machine has, less a quarter
  int threads = 0;             // 0: all this process may use
  uint64_t seed = 0;
  std::string store;           // directory where finished units are kept and found again; empty: nowhere
  double commit_seconds = 1;   // finished units go to the disk together, this often; 0: each by itself
  bool only_finished = false;  // leave unfinished work out instead of doing it: a report of what there is (eval, sweep)
  RunListener* run = nullptr;  // is told how far the run is; may be null
};

// A text and how it is cut.
struct TextInput {
  std::string path;  // "-": standard input
  WindowOptions windows;
};

}  // namespace assay
