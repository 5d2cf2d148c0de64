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
namespace {

// Keys and values in float16: 2 x 2 bytes per token, block, key/value head and element.
uint64_t kv_cache_bytes(const Hyper& hyper, uint64_t context) {
  return context * 4 * static_cast<uint64_t>(hyper.layers) * static_cast<uint64_t>(hyper.kv_heads) * static_cast<uint64_t>(hyper.head_dim);
}

// The contexts asked for; else 4096 and its multiples by 4 below the model's context, and that.
std::vector<uint64_t> cache_contexts(const std::vector<uint64_t>& asked, uint64_t trained) {
  if (!asked.empty()) return asked;
  std::vector<uint64_t> contexts;
  for (uint64_t context = 4096; context < trained; context *= 4) contexts.push_back(context);
  contexts.push_back(trained);
  return contexts;
}

// Scalars as they are; arrays as one line of text, shortened (a vocabulary has 150,000 entries).
Json metadata_json(const Metadata& metadata) {
  Json json = Json::object();
  for (const Metadata::Entry& entry : metadata.entries()) {
    const auto as_json = [&](const auto& value) -> Json {
      using Value = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<Value, std::shared_ptr<const MetaArray>>)
        return to_text(entry.value);
      else
        return value;
    };
    json[entry.key] = std::visit(as_json, entry.value.value);
  }
  return json;
}

}  // namespace

Run declare_inspect(CLI::App& app) {
  struct Options {
    std::string model;
    bool tensors = false, metadata = false;
    int layer = -1;
    std::vector<uint64_t> contexts;
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_flag("--tensors", options->tensors, "list every tensor");
  app.add_flag("--metadata", options->metadata, "list every metadata key");
  app.add_option("--ctx", options->contexts, "contexts to give the KV cache's size for (default: 4096, 16384, ... and the model's)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--layer", options->layer, "list the tensors of one layer");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_TRY(locate_model(options->model, context));
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
    if (const Status sane = check_model_semantics(checkpoint->metadata(), checkpoint->tensors()); !sane)
      warnings.push_back(sane.error().message);
    Table facts({"", ""});
    const auto fact = [&](const std::string& name, const std::string& value) { facts.add({name, value}); };
    const auto architecture = checkpoint->metadata().get_string("general.architecture");
    fact("architecture", architecture && *architecture ? **architecture : "unknown");
    fact("parameters", group_digits(parameters));
    fact("tensor bytes", fmt::format("{} ({:.4f} bits per weight)", group_digits(bytes),
                                     parameters ? 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0));
    fact("tensors", group_digits(checkpoint->tensors().size()));
    Json kv = Json::object();
    uint64_t trained_context = 0;
    if (const auto hyper = parse_hyper(checkpoint->metadata(), checkpoint->find("output.weight") != nullptr)) {
      fact("blocks, width, FFN", fmt::format("{}, {}, {}", hyper->layers, hyper->d_model, hyper->d_ff));
      fact("heads (key/value) x size", fmt::format("{} ({}) x {}", hyper->heads, hyper->kv_heads, hyper->head_dim));
      fact("vocabulary", group_digits(static_cast<uint64_t>(hyper->vocab)) + (hyper->tied ? ", head tied to the embedding" : ""));
      trained_context = static_cast<uint64_t>(hyper->context);
      fact(
          "context",
          group_digits(trained_context) + " tokens" +
              (hyper->sliding_window > 0 ? fmt::format(", window of {}", group_digits(static_cast<uint64_t>(hyper->sliding_window))) : ""));
      if (const Status complete = check_tensors(*hyper, checkpoint->tensors()); !complete) warnings.push_back(complete.error().message);
      for (const uint64_t used : cache_contexts(options->contexts, trained_context)) {
        const uint64_t cache = kv_cache_bytes(*hyper, used);
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
    const auto chat = checkpoint->metadata().get_string("tokenizer.chat_template");
    const std::string chat_text = chat && *chat ? **chat : "";
    fact("chat template", chat_text.empty() ? "none"
                                            : fmt::format("{} bytes: {}", group_digits(chat_text.size()),
                                                          printable(chat_text.substr(0, chat_text.find('\n')), 60)));
    outcome.text = facts.text() + "\n";
    Table types({"type", "weights", "bytes", "% of bytes"});
    Json types_json = Json::object();
    for (const auto& [name, sums] : by_type) {
      types.add({name, group_digits(sums.first), group_digits(sums.second),
                 fmt::format("{:.1f}", 100 * static_cast<double>(sums.second) / static_cast<double>(bytes))});
      types_json[name] = {{"weights", sums.first}, {"bytes", sums.second}};
    }
    outcome.text += types.text();
    Json tensors = Json::array();
    Table list({"tensor", "type", "shape", "bytes"});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      std::vector<std::string> dims;
      for (uint32_t d = 0; d < tensor.n_dims; ++d) dims.push_back(std::to_string(tensor.dims[d]));
      tensors.push_back({{"name", tensor.name},
                         {"type", find_type(tensor.type)->name},
                         {"shape", Json(std::vector<uint64_t>(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims))},
                         {"bytes", tensor.bytes}});
      if (options->tensors || (options->layer >= 0 && role_of(tensor.name).layer == options->layer))
        list.add({tensor.name, find_type(tensor.type)->name, join(dims, " x "), group_digits(tensor.bytes)});
    }
    if (options->tensors || options->layer >= 0) outcome.text += "\n" + list.text();
    if (options->metadata) {
      Table keys({"key", "value"});
      for (const Metadata::Entry& entry : checkpoint->metadata().entries()) keys.add({entry.key, printable(to_text(entry.value), 100)});
      outcome.text += "\n" + keys.text();
      if (!chat_text.empty()) outcome.text += "\nchat template:\n" + chat_text + (chat_text.ends_with('\n') ? "" : "\n");
    }
    for (const std::string& warning : warnings) outcome.text += "warning: " + warning + "\n";
    outcome.result = {{"architecture", architecture && *architecture ? **architecture : ""},
                      {"parameters", parameters},
                      {"tensor_bytes", bytes},
                      {"file_bytes", checkpoint->file_bytes()},
                      {"types", types_json},
                      {"context", trained_context},
                      {"kv_cache_bytes_f16", kv},
                      {"chat_template", chat_text.empty() ? Json() : Json(chat_text)},
                      {"tensors", tensors},
                      {"warnings", warnings}};
    if (options->metadata) outcome.result["metadata"] = metadata_json(checkpoint->metadata());
    return outcome;
  };
}

}  // namespace assay::cli
