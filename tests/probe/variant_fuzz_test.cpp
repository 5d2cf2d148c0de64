// Seeded mutations of a file with every form: a value or a typed error, and what is accepted can be written, read again and checked.
// ASSAY_FUZZ_ITERATIONS sets the number; run it with many under the sanitizers (cmake preset asan-core).
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "assay/base/random.h"
#include "assay/probe/variant_io.h"
#include "tests/probe/small_shape.h"
#include "tests/probe/variant_examples.h"

namespace assay {
namespace {

using namespace testing_variants;

uint64_t iterations() {
  const char* wanted = std::getenv("ASSAY_FUZZ_ITERATIONS");
  return wanted == nullptr ? 4000 : std::strtoull(wanted, nullptr, 10);
}

const char* kFamilies = R"([{"family": "skip-pairs", "layers": "0-1"}, {"family": "repeat-each-layer", "times": 2, "gammas": [1, 0.5]},
  {"family": "levels", "samples": 3, "seed": 1, "tensors": ["attn_q"]}, {"family": "zero", "coordinates": [{"tensor": "output.weight", "at": [1, 2]}]},
  {"family": "top", "k": [1], "rankings": {"m": [0, 1, 2]}}, {"family": "requantize", "types": ["Q4_0"]}])";

std::string mutate(std::string text, CounterRandom& random) {
  static constexpr const char* kPieces[] = {"[",          "]",
                                            "{",          "}",
                                            ",",          ":",
                                            "\"",         "-",
                                            "0",          "9",
                                            "\n",         "  - ",
                                            "1e400",      "-1",
                                            "null",       "true",
                                            "&a",         "*a",
                                            "!!binary x", "99999999999999999999",
                                            "#",          "\\u0000",
                                            "\xff",       "\"set\":0",
                                            "\"at\":",    "\"first\":true",
                                            "? ",         "|\n",
                                            "%",          "1e38"};
  for (uint64_t changes = 1 + random.next_below(4); changes > 0 && !text.empty(); --changes) {
    const size_t at = random.next_below(text.size());
    const size_t length = std::min<size_t>(1 + random.next_below(24), text.size() - at);
    switch (random.next_below(6)) {
      case 0:
        text[at] = static_cast<char>(random.next_u32());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(random.next_below(text.size() + 1), text.substr(at, length));
        break;
      case 3:
        text.resize(random.next_below(8) == 0 ? at : text.size());
        break;
      case 4:
        // A digit for a digit: mostly still a file, of other numbers.
        if (const size_t digit = text.find_first_of("0123456789", at); digit != std::string::npos)
          text[digit] = static_cast<char>('0' + random.next_below(10));
        break;
      default:
        text.insert(at, kPieces[random.next_below(std::size(kPieces))]);
    }
  }
  return text;
}

void run(VariantFormat format, uint64_t stream) {
  const std::string valid = std::string(R"({"variants": )") + kEveryForm + R"(, "families": )" + kFamilies + "}";
  ASSERT_TRUE(parse_variants(valid, format, "f"));
  const ModelShape shape = small_shape();
  uint64_t accepted = 0, expanded = 0;
  for (uint64_t seed = 0; seed < iterations(); ++seed) {
    CounterRandom random(seed, stream);
    const auto file = parse_variants(mutate(valid, random), format, "f");
    if (!file) {
      EXPECT_EQ(file.error().code, ErrorCode::kBadInput) << seed << ": " << file.error().message;
      EXPECT_FALSE(file.error().message.empty()) << seed;
      continue;
    }
    ++accepted;
    for (const Variant& variant : file->variants) {
      const auto again = parse_variant(to_json(variant), {"f", "v"});
      ASSERT_TRUE(again) << seed << ": " << again.error().message;
      EXPECT_EQ(canonical(variant), canonical(*again)) << seed;
    }
    const auto set = expand(*file, shape);
    expanded += set.has_value();
    EXPECT_TRUE(set || !set.error().message.empty()) << seed;
  }
  EXPECT_GT(accepted, iterations() / 50) << "mutations that never pass test only the first check";
  EXPECT_GT(expanded, iterations() / 100);
}

TEST(VariantFuzz, Json) { run(VariantFormat::kJson, 11); }
TEST(VariantFuzz, Yaml) { run(VariantFormat::kYaml, 12); }

// Two bytes of one kind nest deep, and long lines of them stay bounded.
TEST(VariantFuzz, Depth) {
  for (const std::string piece : {"[", "{\"a\":", "- ", "? ", "&a ", "!a ", "[?", "{a: ", "\"", "'", "- [", ": "}) {
    std::string text;
    while (text.size() < 20'000) text += piece;
    for (const VariantFormat format : {VariantFormat::kJson, VariantFormat::kYaml}) {
      const auto file = parse_variants(text, format, "f");
      ASSERT_FALSE(file) << piece;
      EXPECT_EQ(file.error().code, ErrorCode::kBadInput) << piece;
    }
  }
}

}  // namespace
}  // namespace assay
