#include "assay/base/text.h"
#include "cli/command.h"

namespace assay::cli {

std::shared_ptr<TextOptions> add_text_options(CLI::App& app, bool with_path) {
  auto options = std::make_shared<TextOptions>();
  if (with_path) app.add_option("--text,-f", options->path, kTextHelp)->required();
  app.add_option("--ctx", options->windows.ctx, "tokens per window")->capture_default_str();
  app.add_option("--chunks", options->windows.chunks, "only the first N windows (0: all)");
  app.add_option("--max-tokens", options->windows.max_tokens, "one window of the first N tokens, all predictions scored");
  app.add_option_function<std::string>(
         "--window",
         [options](const std::string& rule) { options->windows.rule = rule == "full" ? WindowRule::kFull : WindowRule::kLlamaCpp; },
         "llama.cpp (second half of each window is scored) or full (all of it)")
      ->check(CLI::IsMember({"llama.cpp", "full"}));
  app.add_option_function<std::string>(
         "--join", [options](const std::string& rule) { options->windows.join = rule == "all" ? LineJoin::kAll : LineJoin::kNonblank; },
         "join lines by a blank line: nonblank (only those with text) or all")
      ->check(CLI::IsMember({"nonblank", "all"}));
  app.add_option("--document-separator", options->windows.document_separator, "regular expression of the lines between documents");
  app.add_flag("--jsonl", options->windows.jsonl, "each line is {\"text\": ...} (recognised by the first line)");
  return options;
}

Result<std::pair<std::string, std::string>> rule_of(const std::string& option, const std::string& rule, const std::string& form) {
  const size_t equals = rule.rfind('=');
  if (equals == std::string::npos) return fail(ErrorCode::kUsage, {option + " '" + printable(rule) + "'", "has no '='", form, ""});
  return std::pair(rule.substr(0, equals), rule.substr(equals + 1));
}

Result<std::vector<GgmlType>> parse_types(const std::string& list) {
  std::vector<GgmlType> types;
  for (const std::string& name : split(list, ',')) {
    const GgmlTypeInfo* info = find_type(name);
    if (info == nullptr) {
      std::vector<std::string> known;
      for (const GgmlTypeInfo& type : all_types()) known.emplace_back(type.name);
      const std::string near = nearest_name(name, known);
      return fail(ErrorCode::kUsage,
                  {"type '" + printable(name) + "'", "is not known", near.empty() ? "" : "did you mean " + near + "?", ""});
    }
    types.push_back(info->type);
  }
  return types;
}

void add_units(const UnitCounts& units, Outcome& outcome) {
  outcome.units = units;
  outcome.run_facts["units_found"] = units.found;
  outcome.run_facts["units_made"] = units.made;
}

Json interval_json(const Interval& interval) { return Json::array({interval.low, interval.high}); }

}  // namespace assay::cli
