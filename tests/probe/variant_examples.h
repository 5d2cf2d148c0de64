// One variant of every form, as text, for the tests of probe/variant*.
#pragma once

#include <string>

namespace assay::testing_variants {

inline const char* kEveryForm = R"([
  {"name": "x", "weights": [{"tensor": "blk.0.ffn_down.weight", "at": [[12, 34]], "set": 0}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "row": 3, "scale": 1.01}]},
  {"weights": [{"tensor": "blk.0.attn_q.weight", "head": 2, "set": 0}]},
  {"weights": [{"tensor": "blk.1.ffn_up.weight", "column": 7, "add": -0.25}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "at": [[1, 2], [0, 5]], "level": 1}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "byte": 17, "step": -1}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "type": "Q8_0", "share": 0.5}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "from": "other.gguf"}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "from": "other.gguf", "share": -1.5}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "low_rank": "ab.safetensors"}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "low_rank": "ab.safetensors", "factor": 2.5}]},
  {"weights": [{"tensor": "blk.0.ffn_up.weight", "noise": 0.01, "seed": 18446744073709551615}]},
  {"weights": [{"layer": 1, "head": 2, "set": 0}, {"layer": 1, "channel": 7, "scale": 0}]},
  {"schedule": [{"skip": 1}]},
  {"schedule": [{"skip": [1, 2], "part": "attention"}]},
  {"schedule": [{"skip": 0, "part": "ffn"}, {"repeat": [1, 2], "times": 2, "gamma": 0.5}]},
  {"schedule": [{"order": [0, 2, 1]}, {"repeat": 1, "times": 3}]},
  {"attention": [{"layer": 1, "heads": [0, 1], "rule": "top-1"}, {"layer": 2, "rule": "top-k", "k": 4},
                 {"layer": 0, "heads": [3], "rule": "full"}, {"layer": 0, "heads": [1], "rule": "low-rank", "k": 4, "basis": "f.safetensors"}]},
  {"weights": [{"layer": 1, "channel": 7, "scale": 0}], "residual": [{"replace": 2, "rank": 1}]},
  {"weights": [{"layer": 1, "channel": 7, "scale": 0}], "residual": [{"first": true}]},
  {"weights": [{"layer": 1, "channel": 7, "scale": 0}], "residual": [{"cumulative": true}]}
])";

}  // namespace assay::testing_variants
