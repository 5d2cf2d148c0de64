// Configuration lines of EvoPress as the GGUF quantization toolkit keeps them: `blk.0.attn_q.weight: 4.5 (4.5-Q4_K.pth)`, the width and the
// file of a database; also `NAME: 4.5 Q4_K`. Names may be those of Hugging Face; matrices outside the blocks have their own.
// Widths are the toolkit's own numbers, because they are parts of file names there: Q2_K is 2.5625 in it, and 2.625 in truth.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/recipe_format.h"

namespace assay {
namespace {

struct Width {
  std::string_view type;
  double bits;
};
// Where the toolkit's width is not 8 bytes / weights of a block.
constexpr std::array<Width, 5> kWidths = {{{"q2_K", 2.5625}, {"q8_K", 8.5}, {"iq2_s", 2.5}, {"iq3_s", 3.44}, {"iq4_nl", 4.56}}};
// What its table of types lacks, of ggml's; IQ1_M it would write as IQ1_S.
constexpr std::array<std::string_view, 8> kLacks = {"iq1_m", "tq1_0", "tq2_0", "mxfp4", "nvfp4", "q1_0", "q2_0", "f64"};
constexpr double kWidthTolerance = 0.07;  // of bits: the toolkit's numbers are rounded

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kBlockNames = {{{"self_attn.q_proj", "attn_q"},
                                                                                       {"self_attn.k_proj", "attn_k"},
                                                                                       {"self_attn.v_proj", "attn_v"},
                                                                                       {"self_attn.o_proj", "attn_output"},
                                                                                       {"mlp.gate_proj", "ffn_gate"},
                                                                                       {"mlp.up_proj", "ffn_up"},
                                                                                       {"mlp.down_proj", "ffn_down"}}};

double width_of(const TypeSize& type) {
  for (const Width& width : kWidths)
    if (width.type == type.name) return width.bits;
  return type.bits_per_weight();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// "model.layers.3.mlp.up_proj" -> "blk.3.ffn_up.weight"; other names as they are.
std::string gguf_name(std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (name == "model.embed_tokens") return "token_embd.weight";
  if (name == "lm_head") return "output.weight";
  if (!name.starts_with(kLayers)) return std::string(name);
  const std::string_view rest = name.substr(kLayers.size());
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return std::string(name);
  for (const auto& [hf, gguf] : kBlockNames)
    if (rest.substr(dot + 1) == hf) return fmt::format("blk.{}.{}.weight", rest.substr(0, dot), gguf);
  return std::string(name);
}

bool recognises(std::string_view text) {
  bool any = false;
  for (const std::string& whole : split(text, '\n')) {
    const std::string_view line = trimmed(whole);
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.find_first_of("={") != std::string_view::npos) return false;
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (value.empty() || value[0] < '0' || value[0] > '9') return false;
    any = true;
  }
  return any;
}

// "4.5 (4.5-Q4_K.pth)" or "4.5 Q4_K": the type, checked against the width.
Result<const TypeSize*> read_value(std::string_view text, const std::string& who) {
  double bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc{} || !(bits > 0) || bits > 64)
    return fail(ErrorCode::kBadInput, {who, "is '" + printable(text) + "'", "bits per weight and a file are needed", "4.5 (4.5-Q4_K.pth)"});
  std::string_view rest = trimmed(text.substr(static_cast<size_t>(end - text.data())));
  if (rest.starts_with('(')) {
    const size_t dash = rest.find('-');
    if (dash == std::string_view::npos || !rest.ends_with(".pth)"))
      return fail(ErrorCode::kBadInput, {who, "names the file '" + printable(rest) + "'", "(BITS-TYPE.pth) is needed", ""});
    rest = rest.substr(dash + 1, rest.size() - dash - 1 - std::string_view(".pth)").size());
  }
  if (rest.empty())
    return fail(ErrorCode::kBadInput, {who, "has a width alone", "a type is needed", "the toolkit takes whatever its database holds"});
  const TypeSize* const type = find_type_size(rest);
  if (type == nullptr) return unknown_type(who, rest);
  if (std::abs(bits - type->bits_per_weight()) > kWidthTolerance && bits != width_of(*type))
    return fail(ErrorCode::kBadInput, {who, fmt::format("is {} bits of {}", bits, type->name),
                                       fmt::format("that type has {}", type->bits_per_weight()), "columns of another file?"});
  return type;
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  ReadRecipe result;
  std::map<std::string, size_t> lines;
  const auto all = split(text, '\n');
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string_view line = trimmed(all[i]);
    if (line.empty() || line[0] == '#') continue;
    const std::string where = options.who + ": line " + std::to_string(i + 1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0)
      return fail(ErrorCode::kBadInput, {where + ": '" + printable(line) + "'", "is not NAME: BITS (FILE)", "", "truncated?"});
    const std::string name = gguf_name(trimmed(line.substr(0, colon)));
    ASSAY_ASSIGN(const TypeSize* const type, read_value(trimmed(line.substr(colon + 1)), where + ": '" + printable(name) + "'"));
    const auto [at, is_new] = lines.emplace(name, i + 1);
    if (!is_new && result.document.types[name] != type->name && options.overlap == Overlap::kRefuse)
      return fail(ErrorCode::kMismatch, {where + ": '" + printable(name) + "'", "is given " + type->name,
                                         "line " + std::to_string(at->second) + " gives " + result.document.types[name], ""});
    if (is_new) result.document.types[name] = type->name;
  }
  if (result.document.types.empty()) return fail(ErrorCode::kBadInput, {options.who, "names no tensor", "", ""});
  return result;
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo>) {
  WrittenRecipe result;
  const RecipeDocument kept = without_foreign_types(document, "the GGUF toolkit", result.losses);
  size_t left_out = 0;
  for (const auto& [name, type_name] : kept.types) {
    if (std::find(kLacks.begin(), kLacks.end(), type_name) != kLacks.end()) {
      ++left_out;
      continue;
    }
    const TypeSize& type = *find_type_size(type_name);
    std::string upper = type.name;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    result.text += fmt::format("{0}: {1} ({1}-{2}.pth)\n", name, width_of(type), upper);
  }
  if (left_out > 0)
    result.losses.push_back(group_digits(left_out) + " tensors of types that the GGUF toolkit does not know (IQ1_M, TQ*, MXFP4, ...)");
  add_document_losses(document, result.losses);
  return result;
}

}  // namespace

const RecipeFormat kEvoPressFormat = {"evopress", "configuration lines of EvoPress and the GGUF toolkit", recognises, read, write};

}  // namespace assay
