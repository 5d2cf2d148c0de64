#include <fmt/format.h>

#include <charconv>

#include "assay/base/text.h"
#include "assay/model/checkpoint.h"
#include "assay/text/tokenizer.h"
#include "cli/command.h"

namespace assay::cli {
namespace {

Result<TokenId> parse_id(const std::string& text, size_t vocabulary) {
  TokenId id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size() && id >= 0 && static_cast<size_t>(id) < vocabulary) return id;
  return fail(ErrorCode::kUsage,
              {"--decode", "has '" + printable(text) + "'", "ids from 0 to " + group_digits(vocabulary - 1) + ", separated by commas", ""});
}

}  // namespace

Run declare_tokenize(CLI::App& app) {
  struct Options {
    std::string model, path, prompt, ids;
    bool show = false, no_special = false, add_special = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, kModelHelp)->required();
  auto* text = app.add_option("--text,-f", options->path, kTextHelp);
  auto* prompt = app.add_option("--prompt,-p", options->prompt, "the text itself")->excludes(text);
  app.add_option("--decode", options->ids, "token ids, comma-separated, to turn into text")->excludes(text)->excludes(prompt);
  app.add_flag("--show", options->show, "print each token's text");
  app.add_flag("--add-special", options->add_special, "add BOS and EOS as the vocabulary says");
  app.add_flag("--no-parse-special", options->no_special, "special tokens in the text are plain text");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_TRY(locate_text(options->path, context));
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    ASSAY_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_metadata(checkpoint->metadata()));
    Outcome outcome;
    outcome.inputs = {options->model, options->path};
    if (!options->ids.empty()) {
      std::vector<TokenId> ids;
      for (const std::string& id : split(options->ids, ',')) {
        ASSAY_ASSIGN(const TokenId parsed, parse_id(id, tokenizer.vocab_size()));
        ids.push_back(parsed);
      }
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
      outcome.text += options->show ? fmt::format("{:>7}  {}\n", ids[i], printable(tokenizer.token_text(ids[i])))
                                    : fmt::format("{}{}", i ? " " : "", ids[i]);
    }
    outcome.text += fmt::format("{}{} tokens\n", options->show || ids.empty() ? "" : "\n", group_digits(ids.size()));
    return outcome;
  };
}

}  // namespace assay::cli
