// What the families share when they read GGUF metadata. Internal to model/.
#pragma once

#include <string>
#include <string_view>

#include "assay/model/architecture.h"

namespace assay::arch {

// Required and optional keys "<architecture>.<name>". Errors name the key, what it holds and what is needed.
class KeyReader {
 public:
  KeyReader(const Metadata& metadata, std::string_view architecture) : metadata_(metadata), architecture_(architecture) {}
  std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
  bool has(std::string_view name) const { return metadata_.contains(key(name)); }
  // 1 to `limit`.
  Result<int> positive(std::string_view name, int limit) const;
  Result<int> positive_or(std::string_view name, int limit, int fallback) const;
  // Finite, above 0.
  Result<double> real_or(std::string_view name, double fallback) const;
  Result<std::string> text_or(std::string_view name, std::string fallback) const;
  // An error about a key's value, its cause "corrupt metadata?".
  tl::unexpected<Error> wrong(std::string_view name, std::string found, std::string needed) const;

 private:
  const Metadata& metadata_;
  std::string architecture_;
};

// Sizes, head counts, context, RoPE and its scaling: the keys all families use.
Result<Hyper> parse_common(const Metadata& metadata, std::string_view architecture);
// The same for families with RMS norm and rotary embedding.
Result<Hyper> parse_rotary(const Metadata& metadata, std::string_view architecture, RopeKind pairs);

}  // namespace assay::arch

namespace assay {
const Architecture& llama_architecture();
const Architecture& qwen2_architecture();
const Architecture& qwen3_architecture();
const Architecture& gpt2_architecture();
}  // namespace assay
