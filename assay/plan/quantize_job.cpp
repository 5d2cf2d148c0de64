#include "assay/plan/quantize_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "assay/base/text.h"

namespace assay {
namespace {

// How many names a warning lists.
constexpr size_t kNamesShown = 5;

std::string shown(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + static_cast<ptrdiff_t>(std::min(names.size(), kNamesShown)));
  return join(first, ", ") + (names.size() > kNamesShown ? fmt::format(" and {} more", names.size() - kNamesShown) : "");
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool any_inside(const std::string& name, const std::vector<std::string>& parts) {
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return name.find(part) != std::string::npos; });
}

// The imatrix without the entries that are not to be used.
Result<Imatrix> filter_imatrix(const QuantizeOptions& options) {
  Imatrix imatrix = *options.imatrix;
  const bool include = !options.include_weights.empty();
  const std::vector<std::string>& parts = include ? options.include_weights : options.exclude_weights;
  for (const std::string& part : parts) {
    const bool found = std::any_of(imatrix.entries.begin(), imatrix.entries.end(),
                                   [&](const auto& entry) { return entry.first.find(part) != std::string::npos; });
    if (!found)
      return fail(ErrorCode::kUsage, {std::string(include ? "--include-weights" : "--exclude-weights") + " '" + printable(part) + "'",
                                      "is in no name of the imatrix", "", ""});
  }
  if (!parts.empty()) std::erase_if(imatrix.entries, [&](const auto& entry) { return any_inside(entry.first, parts) != include; });
  return imatrix;
}

// Types of all tensors the options speak of, by their new names.
class TypeChoice {
 public:
  TypeChoice(const Checkpoint& checkpoint, const KeptTensors& kept, const QuantizeOptions& options)
      : checkpoint_(checkpoint), kept_(kept), options_(options) {}

  Status choose() {
    ASSAY_TRY(apply_preset());
    if (options_.recipe) ASSAY_TRY(apply(*options_.recipe));
    ASSAY_TRY(apply(options_.tensor_types));
    const bool tied = is_tied(kept_.tensors);
    for (const TensorInfo& tensor : kept_.tensors) {
      if (options_.output_tensor_type && is_output_matrix(tensor, tied)) set(tensor, *options_.output_tensor_type);
      if (options_.token_embedding_type && tensor.name == "token_embd.weight") set(tensor, *options_.token_embedding_type);
      if (options_.leave_output_tensor && tensor.name == "output.weight") recipe.types[tensor.name] = tensor.type;
    }
    return {};
  }

  Recipe recipe;
  const Preset* preset = nullptr;
  std::vector<std::string> warnings;

 private:
  Status apply_preset() {
    if (options_.preset.empty()) {
      if (options_.pure) return fail(ErrorCode::kUsage, "quantize: --pure needs a preset");
      if (!options_.recipe) return fail(ErrorCode::kUsage, "quantize: a preset (Q4_K_M, ...) or a recipe is needed");
      return {};
    }
    ASSAY_ASSIGN(preset, find_preset(options_.preset));
    PresetContext context = preset_context(checkpoint_.metadata(), options_.imatrix != nullptr);
    context.pure = options_.pure;
    recipe = preset_recipe(*preset, kept_.tensors, context);
    if (preset->needs_importance && options_.imatrix == nullptr)
      warnings.push_back(std::string(preset->name) + " without an imatrix: llama-quantize refuses this mix, its quality is poor");
    return {};
  }
  Status apply(const TensorTypeRules& rules) {
    ASSAY_ASSIGN(ResolvedRecipe resolved, resolve(rules, kept_.tensors));
    for (const auto& [name, type] : resolved.recipe.types) recipe.types[name] = type;
    warnings.insert(warnings.end(), resolved.warnings.begin(), resolved.warnings.end());
    return {};
  }
  void set(const TensorInfo& tensor, GgmlType wanted) {
    const GgmlType type = fallback_type(wanted, tensor.row_length());
    if (type != wanted)
      warnings.push_back(fmt::format("{}: rows of {} do not fit {}; {} is used", tensor.name, tensor.row_length(), find_type(wanted)->name,
                                     find_type(type)->name));
    recipe.types[tensor.name] = type;
  }

  const Checkpoint& checkpoint_;
  const KeptTensors& kept_;
  const QuantizeOptions& options_;
};

// Before anything is written: every new type can be encoded. Warned of: quantized tensors the imatrix says nothing of (the embedding
// and the output matrix never have an entry), entries for no tensor.
Status check_encoders(const Checkpoint& checkpoint, const OutputFile& output, const Imatrix* imatrix, std::vector<std::string>& warnings) {
  std::vector<std::string> without;
  for (size_t i = 0; i < output.tensors.size(); ++i) {
    const TensorInfo& tensor = output.tensors[i];
    if (checkpoint.find(output.sources[i])->type == tensor.type) continue;
    const bool has_entry = imatrix != nullptr && imatrix->entries.contains(output.sources[i]);
    if (!can_encode(tensor.type))
      return fail(ErrorCode::kUnsupported,
                  {"tensor '" + printable(tensor.name) + "'", std::string("is to become ") + find_type(tensor.type)->name,
                   "there is no encoder for that type here", ""});
    if (imatrix != nullptr && !has_entry && find_type(tensor.type)->quantized && tensor.name != "token_embd.weight" &&
        tensor.name != "output.weight")
      without.push_back(tensor.name);
  }
  if (!without.empty())
    warnings.push_back(
        fmt::format("{} tensors have no entry in the imatrix and are quantized without: {}", without.size(), shown(without)));
  if (imatrix == nullptr) return {};
  std::vector<std::string> unused;
  for (const auto& [name, entry] : imatrix->entries)
    if (checkpoint.find(name) == nullptr) unused.push_back(printable(name));
  if (unused.size() == imatrix->entries.size() && !unused.empty())
    return fail(ErrorCode::kMismatch, {"imatrix", "has no entry for any tensor of the model", "", "made from another model?"});
  if (!unused.empty()) warnings.push_back(fmt::format("{} imatrix entries belong to no tensor: {}", unused.size(), shown(unused)));
  return {};
}

Status check_options(const QuantizeOptions& options) {
  if (!options.include_weights.empty() && !options.exclude_weights.empty())
    return fail(ErrorCode::kUsage, "quantize: --include-weights and --exclude-weights exclude each other");
  if (options.imatrix == nullptr && !(options.include_weights.empty() && options.exclude_weights.empty()))
    return fail(ErrorCode::kUsage, "quantize: --include-weights and --exclude-weights choose entries of an imatrix; none is given");
  return {};
}

}  // namespace

uint32_t file_type_of(std::span<const TensorInfo> tensors) {
  std::map<GgmlType, uint64_t> bytes;
  for (const TensorInfo& tensor : tensors)
    if (is_quantizable(tensor)) bytes[tensor.type] += tensor.bytes;
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? 0 : file_type_of(most->first);
}

Result<Metadata::Entry> parse_override(std::string_view text, const Metadata& metadata) {
  const auto bad = [&](std::string needed) {
    return fail(ErrorCode::kUsage,
                {"--override-kv '" + printable(text) + "'", "cannot be read", std::move(needed), "KEY=int|float|bool|str:VALUE"});
  };
  const size_t equals = text.find('='), colon = text.find(':', equals == std::string_view::npos ? text.size() : equals);
  if (equals == 0 || equals == std::string_view::npos || colon == std::string_view::npos)
    return bad("a key, a type and a value are needed");
  Metadata::Entry entry;
  entry.key = text.substr(0, equals);
  const std::string_view type = text.substr(equals + 1, colon - equals - 1), value = text.substr(colon + 1);
  if (type == "str") {
    entry.value = MetaValue::string(std::string(value));
  } else if (type == "bool") {
    if (value != "true" && value != "false") return bad("true or false is needed");
    entry.value = MetaValue::boolean(value == "true");
  } else if (type == "float") {
    const auto number = parse_number<double>(value);
    if (!number || !std::isfinite(*number)) return bad("a finite number is needed");
    entry.value = MetaValue::f32(static_cast<float>(*number));
    if (const MetaValue* old = metadata.find(entry.key); old != nullptr && old->type == MetaType::kF64)
      entry.value = {MetaType::kF64, *number};
  } else if (type == "int") {
    const auto number = parse_number<int64_t>(value);
    if (!number) return bad("an integer is needed");
    const auto holds = [&](MetaType wanted) {
      switch (wanted) {
        case MetaType::kU8:
          return std::in_range<uint8_t>(*number);
        case MetaType::kI8:
          return std::in_range<int8_t>(*number);
        case MetaType::kU16:
          return std::in_range<uint16_t>(*number);
        case MetaType::kI16:
          return std::in_range<int16_t>(*number);
        case MetaType::kU32:
          return std::in_range<uint32_t>(*number);
        case MetaType::kI32:
          return std::in_range<int32_t>(*number);
        case MetaType::kU64:
          return *number >= 0;
        case MetaType::kI64:
          return true;
        default:
          return false;
      }
    };
    std::vector<MetaType> candidates = {MetaType::kU32, MetaType::kI32, MetaType::kI64};
    if (const MetaValue* old = metadata.find(entry.key)) candidates.insert(candidates.begin(), old->type);
    const MetaType chosen = *std::find_if(candidates.begin(), candidates.end(), holds);
    const bool is_signed = chosen == MetaType::kI8 || chosen == MetaType::kI16 || chosen == MetaType::kI32 || chosen == MetaType::kI64;
    entry.value.type = chosen;
    if (is_signed) {
      entry.value.value = *number;
    } else {
      entry.value.value = static_cast<uint64_t>(*number);
    }
  } else {
    return bad("the type '" + printable(type) + "' is none of int, float, bool, str");
  }
  return entry;
}

Result<OutputRequest> conversion_request(const Checkpoint& checkpoint, std::string_view outtype) {
  OutputRequest request;
  const std::string name = lower_ascii(outtype);
  if (name != "auto" && name != "f32" && name != "f16" && name != "bf16" && name != "q8_0")
    return fail(ErrorCode::kUsage,
                {"--outtype '" + printable(outtype) + "'", "is not known", "auto, f32, f16, bf16 or q8_0", "other types: assay quantize"});
  std::vector<TensorInfo> tensors = checkpoint.tensors();
  for (TensorInfo& tensor : tensors) {
    if (name == "auto" || !is_quantizable(tensor)) continue;
    tensor.type = fallback_type(find_type(name)->type, tensor.row_length());
    ASSAY_ASSIGN(tensor.bytes, tensor_bytes(tensor.type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
    request.recipe.types[tensor.name] = tensor.type;
  }
  request.file_type = file_type_of(tensors);
  return request;
}

Result<QuantizeReport> quantize_model(const Checkpoint& checkpoint, const QuantizeOptions& options, const std::string& path,
                                      Progress& progress) {
  ASSAY_TRY(check_options(options));
  if (path.empty() && !options.dry_run) return fail(ErrorCode::kUsage, "quantize: no output file is named");
  ASSAY_ASSIGN(const KeptTensors kept, kept_tensors(checkpoint, options.prune_layers));
  TypeChoice choice(checkpoint, kept, options);
  ASSAY_TRY(choice.choose());

  std::optional<Imatrix> imatrix;
  if (options.imatrix != nullptr) {
    ASSAY_ASSIGN(imatrix, filter_imatrix(options));
  }
  OutputRequest request;
  request.recipe = std::move(choice.recipe);
  request.imatrix = imatrix ? &*imatrix : nullptr;
  request.imatrix_path = options.imatrix_path;
  request.prune_layers = options.prune_layers;
  request.keep_split = options.keep_split;
  for (const std::string& text : options.override_kv) {
    ASSAY_ASSIGN(Metadata::Entry entry, parse_override(text, checkpoint.metadata()));
    request.overrides.push_back(std::move(entry));
  }
  if (choice.preset != nullptr) {
    request.file_type = choice.preset->file_type;
  } else {
    ASSAY_ASSIGN(const OutputFile draft, plan_output(checkpoint, request));
    request.file_type = file_type_of(draft.tensors);
  }
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, request));

  QuantizeReport report;
  report.warnings = std::move(choice.warnings);
  ASSAY_TRY(check_encoders(checkpoint, output, request.imatrix, report.warnings));
  for (size_t i = 0; i < output.tensors.size(); ++i) {
    const TensorInfo& tensor = output.tensors[i];
    report.tensors.push_back({tensor.name,
                              {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims},
                              checkpoint.find(output.sources[i])->type,
                              tensor.type,
                              tensor.bytes});
  }
  if (!path.empty()) report.paths = output_paths(output, path);
  report.file_type = request.file_type;
  report.input_bytes = checkpoint.file_bytes();
  report.file_bytes = output.file_bytes;
  report.tensor_bytes = output.tensor_bytes;
  report.bpw = output.bpw();
  if (!options.dry_run)
    ASSAY_TRY(write_model(checkpoint, output, request.imatrix, path, {options.force, options.threads, options.encode}, progress));
  return report;
}

}  // namespace assay
