// Variant files with one fault each, and the same without it: what a reader must refuse, and where.
#pragma once

#include <string>
#include <vector>

namespace assay::testing_variants {

struct Fault {
  std::string good, bad;  // the control loads
  const char* message;    // part of it
  bool in_schema = true;  // whether docs/schema/variant.schema.json can say it
};

inline std::vector<Fault> every_fault() {
  const auto weight = [](const std::string& edit) { return R"([{"schedule": [{"skip": 1}]}, {"weights": [)" + edit + "]}]"; };
  const auto schedule = [](const std::string& edit) { return R"([{"schedule": [)" + edit + "]}]"; };
  const auto attention = [](const std::string& edit) { return R"([{"attention": [)" + edit + "]}]"; };
  const auto residual = [](const std::string& edit) { return R"([{"residual": [)" + edit + "]}]"; };
  const std::vector<Fault> faults = {
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": 3, "set": 0})"),
       "f.json: variants[1].weights[0].tensor is 3; text is needed"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t", "sat": 0})"), "unknown key 'sat'; known are"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"set": 0})"), "weights[0] has no target; one of tensor, layer is needed"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t", "layer": 1, "set": 0})"), "has both 'tensor' and 'layer'"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t"})"), "has no action; one of set, add, scale"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t", "set": 0, "scale": 2})"), "has both 'set' and 'scale'"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t", "set": "0"})"), "weights[0].set is \"0\"; a number"},
      {weight(R"({"tensor": "t", "set": 3e38})"), weight(R"({"tensor": "t", "set": 3.5e38})"), "weights[0].set is 3.5e+38"},
      {weight(R"({"tensor": "t", "set": 0})"), weight(R"({"tensor": "t", "set": 0, "seed": 1})"), "weights[0].seed comes with 'set'"},
      {weight(R"({"tensor": "t", "noise": 0, "seed": 1})"), weight(R"({"tensor": "t", "noise": -1})"), "noise is -1"},
      {weight(R"({"tensor": "t", "noise": 0, "seed": 1})"), weight(R"({"tensor": "t", "noise": 0, "seed": -1})"), "seed is -1"},
      {weight(R"({"tensor": "t", "row": 1, "set": 0})"), weight(R"({"tensor": "t", "row": 1.0, "set": 0})"), "row is 1.0; an integer",
       false},
      {weight(R"({"tensor": "t", "row": 1, "set": 0})"), weight(R"({"tensor": "t", "row": -1, "set": 0})"), "row is -1"},
      {weight(R"({"tensor": "t", "row": 1, "set": 0})"), weight(R"({"tensor": "t", "row": 1, "column": 2, "set": 0})"),
       "column comes with 'row'"},
      {weight(R"({"tensor": "t", "at": [[1, 2]], "set": 0})"), weight(R"({"tensor": "t", "at": [], "set": 0})"), "at has 0 items"},
      {weight(R"({"tensor": "t", "at": [[1, 2]], "set": 0})"), weight(R"({"tensor": "t", "at": [[1]], "set": 0})"), "at[0] is a list"},
      {weight(R"({"tensor": "t", "at": [[1, 2]], "set": 0})"), weight(R"({"tensor": "t", "at": [[1, -2]], "set": 0})"), "at[0][1] is -2"},
      {weight(R"({"tensor": "t", "at": [[1, 2]], "set": 0})"), weight(R"({"tensor": "t", "at": [[1, 2], [1, 2]], "set": 0})"),
       "at[1] is given twice"},
      {weight(R"({"tensor": "t", "column": 1, "set": 0})"), weight(R"({"tensor": "t", "channel": 1, "set": 0})"),
       "channel comes with 'tensor'"},
      {weight(R"({"layer": 1, "channel": 1, "set": 0})"), weight(R"({"layer": 1, "set": 0})"), "has no unit of the layer"},
      {weight(R"({"layer": 1, "channel": 1, "set": 0})"), weight(R"({"layer": 1, "channel": 1, "row": 1, "set": 0})"),
       "row comes with 'layer'"},
      {weight(R"({"layer": 1, "channel": 1, "set": 0})"), weight(R"({"layer": 1, "channel": 1, "head": 1, "set": 0})"),
       "has both 'head' and 'channel'"},
      {weight(R"({"tensor": "t", "level": -1})"), weight(R"({"tensor": "t", "level": 2})"), "level is 2; an integer from -1 to 1"},
      {weight(R"({"tensor": "t", "level": -1})"), weight(R"({"tensor": "t", "level": 0})"), "level is 0; 1 or -1"},
      {weight(R"({"tensor": "t", "byte": 1, "step": 1})"), weight(R"({"tensor": "t", "byte": 1})"), "has no 'step'"},
      {weight(R"({"tensor": "t", "byte": 1, "step": 1})"), weight(R"({"tensor": "t", "byte": 1, "step": 0})"), "step is 0"},
      {weight(R"({"tensor": "t", "byte": 1, "step": 255})"), weight(R"({"tensor": "t", "byte": 1, "step": 256})"), "step is 256"},
      {weight(R"({"tensor": "t", "byte": 1, "step": 1})"), weight(R"({"tensor": "t", "row": 1, "byte": 1, "step": 1})"),
       "has 'byte' and a choice of weights"},
      {weight(R"({"tensor": "t", "type": "q4_k"})"), weight(R"({"tensor": "t", "type": "Q4_Z"})"), "type is \"Q4_Z\"", false},
      {weight(R"({"tensor": "t", "type": "Q4_K"})"), weight(R"({"tensor": "t", "type": "Q4_K", "factor": 1})"), "factor comes with 'type'"},
      {weight(R"({"tensor": "t", "from": "f"})"), weight(R"({"tensor": "t", "from": ""})"), "from is \"\""},
      {schedule(R"({"skip": 1})"), schedule(R"({"skip": -1})"), "variants[0].schedule[0].skip is -1"},
      {schedule(R"({"skip": [1, 2]})"), schedule(R"({"skip": [2, 1]})"), "skip[1] is 1; an integer from 2", false},
      {schedule(R"({"skip": [1, 2]})"), schedule(R"({"skip": [1, 2, 3]})"), "skip has 3 items"},
      {schedule(R"({"skip": 1})"), schedule(R"({"skip": "1"})"), "a block's number or [first, last]"},
      {schedule(R"({"skip": 1, "part": "ffn"})"), schedule(R"({"skip": 1, "part": "mlp"})"), "part is \"mlp\""},
      {schedule(R"({"skip": 1})"), schedule(R"({"skip": 1, "times": 2})"), "times comes with 'skip'"},
      {schedule(R"({"skip": 1})"), schedule(R"({"skip": 1, "order": [0]})"), "has both 'skip' and 'order'"},
      {schedule(R"({"repeat": 1, "times": 64})"), schedule(R"({"repeat": 1, "times": 65})"), "times is 65"},
      {schedule(R"({"repeat": 1, "times": 2})"), schedule(R"({"repeat": 1})"), "has no 'times'"},
      {schedule(R"({"repeat": 1, "times": 1, "gamma": 0.5})"), schedule(R"({"repeat": 1, "times": 1})"), "changes nothing"},
      {schedule(R"({"order": [0, 0]})"), schedule(R"({"order": []})"), "order has 0 items"},
      {attention(R"({"layer": 1, "rule": "top-1"})"), attention(R"({"layer": 1})"), "has no 'rule'"},
      {attention(R"({"layer": 1, "rule": "top-1"})"), attention(R"({"layer": 1, "rule": "top-2"})"), "full, top-1, top-k or low-rank"},
      {attention(R"({"layer": 1, "rule": "top-1"})"), attention(R"({"layer": 1, "rule": "top-1", "k": 2})"), "k comes with the rule top-1"},
      {attention(R"({"layer": 1, "rule": "top-k", "k": 2})"), attention(R"({"layer": 1, "rule": "top-k"})"), "has no 'k'"},
      {attention(R"({"layer": 1, "rule": "low-rank", "k": 2, "basis": "b"})"), attention(R"({"layer": 1, "rule": "low-rank", "k": 2})"),
       "has no 'basis'"},
      {attention(R"({"layer": 1, "heads": [1], "rule": "full"})"), attention(R"({"layer": 1, "heads": [1, 1], "rule": "full"})"),
       "heads[1] is given twice"},
      {residual(R"({"first": true})"), residual(R"({"first": false})"), "residual[0].first is false"},
      {residual(R"({"replace": 1, "rank": 1})"), residual(R"({"replace": 1, "rank": 0})"), "rank is 0"},
      {residual(R"({"replace": 1})"), residual(R"({"replace": 1, "first": true})"), "has both"},
      {R"([{"schedule": [{"skip": 1}]}])", R"([{"schedule": []}])", "schedule has 0 items"},
      {R"([{"schedule": [{"skip": 1}]}])", R"([{"name": "x"}])", "variants[0] changes nothing"},
      {R"([{"schedule": [{"skip": 1}]}])", R"([])", "variants has 0 items"},
      {R"([{"schedule": [{"skip": 1}]}])", R"({})", "has no variants"},
      {R"([{"schedule": [{"skip": 1}]}])", "3", "f.json is 3; a list of variants"},
      {R"([{"schedule": [{"skip": 1}]}])", R"([3])", "variants[0] is 3; an object"},
      {R"([{"name": "a", "schedule": [{"skip": 1}]}])", R"([{"name": "a\nb", "schedule": [{"skip": 1}]}])", "control characters"},
      {R"([{"name": "a", "schedule": [{"skip": 1}]}])",
       R"([{"name": "a", "schedule": [{"skip": 1}]}, {"name": "a", "schedule": [{"skip": 2}]}])", "variants[1].name is 'a' again", false},
      {R"([{"name": "a", "schedule": [{"skip": 1}]}])", R"([{"name": "a", "name": "b", "schedule": [{"skip": 1}]}])", "given twice", false},
      {R"([{"schedule": [{"skip": 1}]}])", R"([{"schedule": [{"skip": 1}]})", "is not JSON", false},
  };
  return faults;
}

}  // namespace assay::testing_variants
