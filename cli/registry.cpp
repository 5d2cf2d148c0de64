#include "cli/command.h"

namespace assay::cli {

Run declare_convert(CLI::App& app);
Run declare_download(CLI::App& app);
Run declare_eval(CLI::App& app);
Run declare_export(CLI::App& app);
Run declare_imatrix(CLI::App& app);
Run declare_inspect(CLI::App& app);
Run declare_optimize(CLI::App& app);
Run declare_plan(CLI::App& app);
Run declare_probe(CLI::App& app);
Run declare_quantize(CLI::App& app);
Run declare_recipe(CLI::App& app);
Run declare_report(CLI::App& app);
Run declare_resume(CLI::App& app);
Run declare_score(CLI::App& app);
Run declare_compare(CLI::App& app);
Run declare_status(CLI::App& app);
Run declare_study(CLI::App& app);
Run declare_sweep(CLI::App& app);
Run declare_tokenize(CLI::App& app);

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      {"optimize", "the best mix of types for a size: score, plan, write, verify",
       "  assay optimize demo/reference-9m --like Q4_K_M --calibration demo/calibration.txt --evaluation demo/evaluation.txt -o "
       "best.gguf\n",
       declare_optimize},
      {"inspect", "what is in a model file", "  assay inspect model.gguf --tensors\n", declare_inspect},
      {"eval", "perplexity, or accuracy on tasks; with --base also KL divergence, flips and tails, or paired changes",
       "  assay eval best.gguf --base demo/reference-9m --text demo/evaluation.txt\n"
       "  assay eval best.gguf --base demo/reference-9m --tasks piqa.jsonl hellaswag.txt\n",
       declare_eval, false, true},
      {"imatrix", "importance matrix in llama.cpp's formats",
       "  assay imatrix demo/reference-9m --text demo/calibration.txt -o imatrix.gguf\n", declare_imatrix},
      {"quantize", "write a GGUF from a preset or a recipe",
       "  assay quantize demo/reference-9m --type Q4_K_M --imatrix imatrix.gguf -o q4.gguf\n"
       "  assay quantize demo/reference-9m --method awq --type Q4_0 --calibration demo/calibration.txt --evaluation demo/evaluation.txt -o "
       "awq.gguf\n",
       declare_quantize},
      {"convert", "Hugging Face checkpoint to GGUF", "  assay convert demo/reference-9m -o reference.gguf\n", declare_convert},
      {"download", "models and texts from the Hugging Face hub, into its cache",
       "  assay download Qwen/Qwen3-0.6B\n"
       "  assay download ggml-org/SmolLM3-3B-GGUF:Q4_K_M\n"
       "  assay download Qwen/Qwen3-0.6B \"*.json\" --dry-run\n"
       "  assay download ggml-org/ci wikitext-2-raw-v1.zip --repo-type dataset\n",
       declare_download},
      {"sweep", "measured damage of every tensor at every type",
       "  assay sweep demo/reference-9m --text demo/calibration.txt --types Q2_K,Q4_K --chunks 4 --json table.json\n", declare_sweep, true,
       true},
      {"probe", "what any change does: weights, codes, blocks, attention, residual stream",
       "  assay probe demo/reference-9m --variants demo/variants.yaml --text demo/evaluation.txt --chunks 4\n"
       "  assay probe demo/reference-9m --variants demo/variants.yaml --name \"block 3 at Q2_K\" --write edited.gguf\n",
       declare_probe, true},
      {"study", "a pre-registered study and its verdict",
       "  assay study qpsa q4.gguf --text demo/evaluation.txt --config studies/qpsa_demo.yaml --quick\n"
       "  assay study pqi demo/reference-9m --text demo/evaluation.txt --config studies/pqi_demo.yaml --results results/pqi\n"
       "  assay study attention demo/reference-9m --text demo/evaluation.txt --config studies/attention_demo.yaml --quick\n"
       "  assay study outliers demo/reference-9m --config studies/outliers_demo.yaml --quick\n"
       "  assay study proxies demo/reference-9m --text demo/evaluation.txt --tasks piqa.jsonl arc_easy.jsonl --quick\n"
       "  assay study awq demo/reference-9m --text demo/evaluation.txt --calibration demo/calibration.txt --results results/awq\n"
       "  assay study rfic demo/reference-9m --text demo/evaluation.txt --calibration demo/calibration.txt --config "
       "studies/rfic_demo.yaml\n",
       declare_study},
      {"score", "sensitivity scores of every matrix or layer: data-free, activations, curvature",
       "  assay score demo/reference-9m --text demo/calibration.txt --chunks 4\n"
       "  assay score demo/reference-9m --scores kurtosis,nsds --by layer\n"
       "  assay score demo/reference-9m --text demo/calibration.txt --scores curvature --types Q2_K,Q4_K,Q6_K --chunks 8 --json "
       "table.json\n"
       "  assay score --list\n",
       declare_score},
      {"compare", "which scores to trust on this model: all of them against measured damage",
       "  assay compare demo/reference-9m --text demo/evaluation.txt --quick --results results/compare\n"
       "  assay compare demo/reference-9m --text demo/evaluation.txt --truth damage,removal,joint,plan --chunks 8\n",
       declare_compare},
      {"plan", "types for a size from a damage table",
       "  assay plan demo/reference-9m --table table.json --bpw 4.5 -o recipe.txt\n"
       "  assay plan --published kld_results.csv --group0 group0/kld_results.csv --map tensors.bf16.map --types iq2_ks,iq3_ks,iq4_ks "
       "--bpw 3.1 -o model.recipe\n",
       declare_plan},
      {"recipe", "recipes of every format: shown, converted, compared",
       "  assay recipe show recipe.txt --model demo/reference-9m\n"
       "  assay recipe convert recipe.txt recipe.yaml --to yaml --model demo/reference-9m\n"
       "  assay recipe diff q4.gguf recipe.txt --model demo/reference-9m --table table.json --figure moved.svg\n",
       declare_recipe},
      {"report", "results as one HTML page: maps, tables, intervals, verdicts",
       "  assay report optimize.json compare.json -o report.html\n"
       "  assay report results/compare -o report.html --figures figures\n",
       declare_report},
      {"status", "runs of the store: what was asked, how far each is; deletes old work", "  assay status\n  assay status --prune 30d\n",
       declare_status},
      {"resume", "go on with a run that was stopped or killed", "  assay resume\n  assay resume 5f3a9c\n", declare_resume},
      {"export", "a run's report as JSON or CSV; of an unfinished sweep or eval from what is finished",
       "  assay export --format csv\n  assay export 5f3a9c -o report.json\n", declare_export},
      {"tokenize", "text to token ids and back", "  assay tokenize demo/reference-9m --text demo/evaluation.txt\n", declare_tokenize},
  };
  return commands;
}

}  // namespace assay::cli
