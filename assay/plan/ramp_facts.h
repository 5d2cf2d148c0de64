// RAMP's files beside its configuration: sensitivities {"tensor_scores": {..}, "group_scores": {group: {nsds, nv_score, ..}}} and
// quantization errors {group: {TYPE: {frobenius_rel, ..}}}, as facts of its proxy loss (proxy_loss.h) and from them.
// Its own errors are of simulated quantizers, not of ggml's (methods.md 5.3). Group names are RAMP's ("global.embed") in files, ours in
// facts. Non-goals: scores of single tensors, which the proxy does not use.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/proxy_loss.h"

namespace assay {

using RampFacts = std::map<std::string, ProxyFacts>;  // by group

// What the file says goes into `facts`, what they cannot hold into `losses`. Errors, kBadInput: no such file, repeated keys, depth, values
// that are no number, negative, or above 1 (nsds, nv_score); an unknown type.
Status read_ramp_sensitivity(std::string_view text, const std::string& who, RampFacts& facts, std::vector<std::string>& losses);
Status read_ramp_errors(std::string_view text, const std::string& who, RampFacts& facts, std::vector<std::string>& losses);

std::string ramp_sensitivity_json(const RampFacts& facts);
std::string ramp_errors_json(const RampFacts& facts);  // groups without measured errors are left out

}  // namespace assay
