#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/model/checkpoint.h"
#include "assay/text/tokenizer.h"
#include "cli/command.h"

namespace assay::cli {

Run declare_tokenize(CLI::App& app) {
  struct Options {
    std::string model, path, prompt, ids;
    bool show = false, no_special = false, add_special = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  auto* text = app.add_option("--text,-f", options->path, "text file, or - for standard input");
  auto* prompt = app.add_option("--prompt,-p", options->prompt, "the text itself")->excludes(text);
  app.add_option("--decode", options->ids, "token ids, comma-separated, to turn into text")->excludes(text)->excludes(prompt);
  app.add_flag("--show", options->show, "print each token's text");
  app.add_flag("--add-special", options->add_special, "add BOS and EOS as the vocabulary says");
  app.add_flag("--no-parse-special", options->no_special, "special tokens in the text are plain text");
  return [options](Context&) -> Result<Outcome> {
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    ASSAY_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_metadata(checkpoint->metadata()));
    Outcome outcome;
    outcome.inputs = {options->model, options->path};
    if (!options->ids.empty()) {
      std::vector<TokenId> ids;
      for (const std::string& id : split(options->ids, ',')) ids.push_back(static_cast<TokenId>(std::atoi(id.c_str())));
      const std::string decoded = tokenizer.decode(ids);
      outcome.result = {{"text", decoded}};
      outcome.text = decoded + "\n";
      return outcome;
    }
    std::string input = options->prompt;
    if (!options->path.empty()) {
      ASSAY_ASSIGN(input, read_corpus(options->path));
    }
    const auto ids = tokenizer.encode(input, {options->add_special, !options->no_special});
    outcome.result = {{"tokens", ids.size()}, {"ids", ids}};
    for (size_t i = 0; i < ids.size(); ++i) {
      outcome.text += options->show ? fmt::format("{:>7}  {}\n", ids[i], printable(tokenizer.token_text(ids[i]))) : fmt::format("{}{}", i ? " " : "", ids[i]);
    }
    outcome.text += fmt::format("{}{} tokens\n", options->show || ids.empty() ? "" : "\n", group_digits(ids.size()));
    return outcome;
  };
}

}  // namespace assay::cli
