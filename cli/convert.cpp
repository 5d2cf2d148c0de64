#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/plan/quantize_job.h"
#include "cli/command.h"

namespace assay::cli {

Run declare_convert(CLI::App& app) {
  struct Options {
    std::string model, output, type = "auto";
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--output,-o", options->output, "GGUF to write")->required();
  app.add_option("--outtype", options->type, "auto (as stored), f32, f16, bf16 or q8_0")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "q8_0"}))
      ->capture_default_str();
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    ASSAY_ASSIGN(const OutputRequest request, conversion_request(*checkpoint, options->type));
    ASSAY_ASSIGN(const OutputFile output, plan_output(*checkpoint, request));
    context.progress.stage("write", output.tensors.size());
    ASSAY_TRY(write_model(*checkpoint, output, nullptr, options->output, {context.common.force, context.common.threads}, context.progress));
    Outcome outcome;
    outcome.inputs = {options->model};
    outcome.result = {{"output", options->output}, {"bytes", output.file_bytes}, {"bpw", output.bpw()}, {"tensors", output.tensors.size()}};
    outcome.text = fmt::format("{}: {} tensors, {} bytes, {:.4f} bits per weight\n", options->output, output.tensors.size(),
                               group_digits(output.file_bytes), output.bpw());
    return outcome;
  };
}

}  // namespace assay::cli
