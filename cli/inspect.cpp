#include <fmt/format.h>

#include <map>

#include "assay/base/text.h"
#include "assay/file/gguf_semantics.h"
#include "assay/file/tensor_role.h"
#include "assay/model/architecture.h"
#include "assay/model/checkpoint.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {

Run declare_inspect(CLI::App& app) {
  struct Options {
    std::string model;
    bool tensors = false, metadata = false;
    int layer = -1;
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "GGUF file, Hugging Face directory, or .safetensors file")->required();
  app.add_flag("--tensors", options->tensors, "list every tensor");
  app.add_flag("--metadata", options->metadata, "list every metadata key");
  app.add_option("--layer", options->layer, "list the tensors of one layer");
  return [options](Context&) -> Result<Outcome> {
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    Outcome outcome;
    outcome.inputs = {options->model};
    uint64_t parameters = 0, bytes = 0;
    std::map<std::string, std::pair<uint64_t, uint64_t>> by_type;  // weights, bytes
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      parameters += tensor.elements();
      bytes += tensor.bytes;
      auto& [weights, size] = by_type[find_type(tensor.type)->name];
      weights += tensor.elements();
      size += tensor.bytes;
    }
    std::vector<std::string> warnings = checkpoint->warnings();
    if (const Status sane = check_model_semantics(checkpoint->metadata(), checkpoint->tensors()); !sane) warnings.push_back(sane.error().message);
    Table facts({"", ""});
    const auto fact = [&](const std::string& name, const std::string& value) { facts.add({name, value}); };
    const auto architecture = checkpoint->metadata().get_string("general.architecture");
    fact("architecture", architecture && *architecture ? **architecture : "unknown");
    fact("parameters", group_digits(parameters));
    fact("tensor bytes", fmt::format("{} ({:.4f} bits per weight)", group_digits(bytes), parameters ? 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0));
    Json kv = Json::object();
    if (const auto hyper = parse_hyper(checkpoint->metadata(), checkpoint->find("output.weight") != nullptr)) {
      fact("blocks, width, FFN", fmt::format("{}, {}, {}", hyper->layers, hyper->d_model, hyper->d_ff));
      fact("heads (key/value) x size", fmt::format("{} ({}) x {}", hyper->heads, hyper->kv_heads, hyper->head_dim));
      fact("vocabulary", group_digits(static_cast<uint64_t>(hyper->vocab)) + (hyper->tied ? ", head tied to the embedding" : ""));
      for (uint64_t context = 4096; context <= static_cast<uint64_t>(hyper->context) || context == 4096; context *= 4) {
        const uint64_t used = std::min<uint64_t>(context, static_cast<uint64_t>(hyper->context));
        const uint64_t cache = used * 2 * 2 * static_cast<uint64_t>(hyper->layers) * static_cast<uint64_t>(hyper->kv_heads) * static_cast<uint64_t>(hyper->head_dim);
        fact(fmt::format("KV cache at {} tokens", group_digits(used)), format_bytes(cache) + " (f16)");
        kv[std::to_string(used)] = cache;
      }
    } else {
      warnings.push_back(hyper.error().message);
    }
    const auto text_of = [&](const char* key) {
      const auto value = checkpoint->metadata().get_string(key);
      return value && *value ? **value : std::string("none");
    };
    fact("tokenizer", text_of("tokenizer.ggml.model") + " / " + text_of("tokenizer.ggml.pre"));
    fact("chat template", checkpoint->metadata().contains("tokenizer.chat_template") ? "yes" : "no");
    outcome.text = facts.text() + "\n";
    Table types({"type", "weights", "bytes", "% of bytes"});
    Json types_json = Json::object();
    for (const auto& [name, sums] : by_type) {
      types.add({name, group_digits(sums.first), group_digits(sums.second), fmt::format("{:.1f}", 100 * static_cast<double>(sums.second) / static_cast<double>(bytes))});
      types_json[name] = {{"weights", sums.first}, {"bytes", sums.second}};
    }
    outcome.text += types.text();
    Json tensors = Json::array();
    Table list({"tensor", "type", "shape", "bytes"});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      std::vector<std::string> dims;
      for (uint32_t d = 0; d < tensor.n_dims; ++d) dims.push_back(std::to_string(tensor.dims[d]));
      tensors.push_back({{"name", tensor.name}, {"type", find_type(tensor.type)->name}, {"shape", Json(std::vector<uint64_t>(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims))}, {"bytes", tensor.bytes}});
      if (options->tensors || (options->layer >= 0 && role_of(tensor.name).layer == options->layer))
        list.add({tensor.name, find_type(tensor.type)->name, join(dims, " x "), group_digits(tensor.bytes)});
    }
    if (options->tensors || options->layer >= 0) outcome.text += "\n" + list.text();
    if (options->metadata) {
      Table keys({"key", "value"});
      for (const Metadata::Entry& entry : checkpoint->metadata().entries()) keys.add({entry.key, printable(to_text(entry.value), 100)});
      outcome.text += "\n" + keys.text();
    }
    for (const std::string& warning : warnings) outcome.text += "warning: " + warning + "\n";
    outcome.result = {{"architecture", architecture && *architecture ? **architecture : ""}, {"parameters", parameters}, {"tensor_bytes", bytes}, {"file_bytes", checkpoint->file_bytes()},
                      {"types", types_json}, {"kv_cache_bytes_f16", kv}, {"tensors", tensors}, {"warnings", warnings}};
    return outcome;
  };
}

}  // namespace assay::cli
