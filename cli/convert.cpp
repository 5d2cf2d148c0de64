#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/plan/quantize.h"
#include "cli/command.h"

namespace assay::cli {

Run declare_convert(CLI::App& app) {
  struct Options {
    std::string model, output, type = "auto";
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "Hugging Face directory, .safetensors file, or GGUF")->required();
  app.add_option("--output,-o", options->output, "GGUF to write")->required();
  app.add_option("--outtype", options->type, "auto (as stored), f32, f16, bf16 or q8_0")->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "q8_0"}))->capture_default_str();
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    OutputRequest request;
    request.quantized = options->type == "q8_0";
    const TensorInfo* embedding = checkpoint->find("token_embd.weight");
    GgmlType stored = embedding != nullptr ? embedding->type : GgmlType::kF32;
    if (options->type != "auto") {
      stored = find_type(options->type)->type;
      for (const TensorInfo& tensor : checkpoint->tensors())
        if (is_quantizable(tensor)) request.recipe.types[tensor.name] = fallback_type(stored, tensor.row_length());
    }
    for (const Preset& preset : all_presets())
      if (preset.base == stored) request.file_type = preset.file_type;
    ASSAY_ASSIGN(const OutputFile output, plan_output(*checkpoint, request));
    context.progress.stage("write", output.tensors.size());
    ASSAY_TRY(write_model(*checkpoint, output, nullptr, options->output, {context.common.force, context.common.threads}, context.progress));
    Outcome outcome;
    outcome.inputs = {options->model};
    outcome.result = {{"output", options->output}, {"bytes", output.file_bytes}, {"bpw", output.bpw()}, {"tensors", output.tensors.size()}};
    outcome.text = fmt::format("{}: {} tensors, {} bytes, {:.4f} bits per weight\n", options->output, output.tensors.size(), group_digits(output.file_bytes), output.bpw());
    return outcome;
  };
}

}  // namespace assay::cli
