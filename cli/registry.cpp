#include "cli/command.h"

namespace assay::cli {

Run declare_convert(CLI::App& app);
Run declare_eval(CLI::App& app);
Run declare_imatrix(CLI::App& app);
Run declare_inspect(CLI::App& app);
Run declare_optimize(CLI::App& app);
Run declare_plan(CLI::App& app);
Run declare_probe(CLI::App& app);
Run declare_quantize(CLI::App& app);
Run declare_score(CLI::App& app);
Run declare_sweep(CLI::App& app);
Run declare_tokenize(CLI::App& app);

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      {"optimize", "the best mix of types for a size: score, plan, write, verify",
       "  assay optimize demo/reference-9m --like Q4_K_M --calibration demo/calibration.txt --evaluation demo/evaluation.txt -o "
       "best.gguf\n",
       declare_optimize},
      {"inspect", "what is in a model file", "  assay inspect model.gguf --tensors\n", declare_inspect},
      {"eval", "perplexity; with --base also KL divergence, flips and tails",
       "  assay eval best.gguf --base demo/reference-9m --text demo/evaluation.txt\n", declare_eval},
      {"imatrix", "importance matrix in llama.cpp's formats",
       "  assay imatrix demo/reference-9m --text demo/calibration.txt -o imatrix.gguf\n", declare_imatrix},
      {"quantize", "write a GGUF from a preset or a recipe",
       "  assay quantize demo/reference-9m --type Q4_K_M --imatrix imatrix.gguf -o q4.gguf\n", declare_quantize},
      {"convert", "Hugging Face checkpoint to GGUF", "  assay convert demo/reference-9m -o reference.gguf\n", declare_convert},
      {"sweep", "measured damage of every tensor at every type",
       "  assay sweep demo/reference-9m --text demo/calibration.txt --types Q2_K,Q4_K --chunks 4 --json table.json\n", declare_sweep, true},
      {"probe", "what any change does: weights, codes, blocks, attention, residual stream",
       "  assay probe demo/reference-9m --variants demo/variants.yaml --text demo/evaluation.txt --chunks 4\n"
       "  assay probe demo/reference-9m --variants demo/variants.yaml --name \"block 3 at Q2_K\" --write edited.gguf\n",
       declare_probe, true},
      {"score", "predicted damage (curvature) of every tensor at every type",
       "  assay score demo/reference-9m --text demo/calibration.txt --types Q2_K,Q4_K,Q6_K --chunks 8 --json table.json\n", declare_score},
      {"plan", "types for a size from a damage table", "  assay plan demo/reference-9m --table table.json --bpw 4.5 -o recipe.txt\n",
       declare_plan},
      {"tokenize", "text to token ids and back", "  assay tokenize demo/reference-9m --text demo/evaluation.txt\n", declare_tokenize},
  };
  return commands;
}

}  // namespace assay::cli
