// The quantize job against llama.cpp's library: same types and keys for the same options, recipes that work there, files it loads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/base/text.h"
#include "assay/plan/quantize_job.h"
#include "tests/interop/llama_peer.h"
#include "tests/plan/small_model.h"

namespace assay {
namespace {

using small_model::Shape;
using T = GgmlType;
using Types = std::map<std::string, std::string>;

class QuantizeInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  }

  // A model the library can open: more metadata than the small model of the unit tests.
  std::shared_ptr<const Checkpoint> make(const Shape& shape) {
    Metadata keys = small_model::metadata(shape);
    keys.set("llama.context_length", MetaValue::u32(128));
    keys.set("llama.feed_forward_length", MetaValue::u32(static_cast<uint32_t>(shape.ffn)));
    keys.set("llama.rope.dimension_count", MetaValue::u32(static_cast<uint32_t>(shape.width / 8)));
    keys.set("llama.attention.layer_norm_rms_epsilon", MetaValue::f32(1e-5F));
    keys.set("llama.vocab_size", MetaValue::u32(static_cast<uint32_t>(shape.vocab)));
    small_model::write(dir_ / "in.gguf", keys, small_model::tensors(shape));
    return small_model::open(dir_ / "in.gguf");
  }

  static Types types_of(const std::string& path) {
    const auto file = Gguf::open(path);
    if (!file) return {{"error", file.error().message}};
    Types types;
    for (const TensorInfo& tensor : file->tensors()) types[tensor.name] = find_type(tensor.type)->name;
    return types;
  }

  void expect_same(const Checkpoint& checkpoint, const QuantizeOptions& options, const std::string& file_type,
                   const std::vector<std::string>& peer_options) {
    std::vector<std::string> arguments = {"quantize", dir_ / "in.gguf", dir_ / "theirs.gguf", file_type};
    arguments.insert(arguments.end(), peer_options.begin(), peer_options.end());
    const auto theirs = interop::run_llama_peer(arguments);
    ASSERT_EQ(theirs.status, 0) << theirs.result.dump();
    QuantizeOptions forced = options;
    forced.force = true;
    const auto ours = quantize_model(checkpoint, forced, dir_ / "ours.gguf");
    ASSERT_TRUE(ours) << ours.error().message;
    EXPECT_EQ(types_of(dir_ / "ours.gguf"), types_of(dir_ / "theirs.gguf"));
    const auto a = Gguf::open(dir_ / "ours.gguf"), b = Gguf::open(dir_ / "theirs.gguf");
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->file_bytes(), b->file_bytes());
    EXPECT_EQ(a->metadata().entries().size(), b->metadata().entries().size());
    for (const Metadata::Entry& entry : b->metadata().entries()) {
      const MetaValue* value = a->metadata().find(entry.key);
      ASSERT_NE(value, nullptr) << entry.key;
      EXPECT_EQ(*value, entry.value) << entry.key;
    }
  }

  testing_files::ScratchDirectory dir_;
};

std::string id_of(T type) { return std::to_string(static_cast<uint32_t>(type)); }

TEST_F(QuantizeInterop, TheSameOptionsGiveTheSameFileLayout) {
  for (const bool tied : {false, true}) {
    SCOPED_TRACE(tied ? "tied" : "untied");
    const auto checkpoint = make({24, 256, 512, 40, T::kF16, tied});
    QuantizeOptions options;
    options.preset = "Q4_K_M";
    expect_same(*checkpoint, options, "15", {});
    options.output_tensor_type = T::kQ5_K;
    expect_same(*checkpoint, options, "15", {"--output-tensor-type", id_of(T::kQ5_K)});
    options.token_embedding_type = T::kQ3_K;
    expect_same(*checkpoint, options, "15", {"--output-tensor-type", id_of(T::kQ5_K), "--token-embedding-type", id_of(T::kQ3_K)});
    options = {};
    options.preset = "Q5_K_S";
    options.leave_output_tensor = true;
    expect_same(*checkpoint, options, "16", {"--leave-output-tensor"});
    options = {};
    options.preset = "Q3_K_M";
    options.pure = true;
    expect_same(*checkpoint, options, "12", {"--pure"});
    options = {};
    options.preset = "Q4_K_M";
    ASSERT_TRUE(options.tensor_types.add_text("blk\\.[0-3]\\.attn_v=q8_0 attn_v=q4_0 ffn_up=iq4_xs"));
    expect_same(*checkpoint, options, "15",
                {"--tensor-type", "blk\\.[0-3]\\.attn_v=" + id_of(T::kQ8_0), "--tensor-type", "attn_v=" + id_of(T::kQ4_0), "--tensor-type",
                 "ffn_up=" + id_of(T::kIQ4_XS)});
    options = {};
    options.preset = "Q4_K_M";
    options.prune_layers = {0, 1, 2, 10};
    expect_same(*checkpoint, options, "15", {"--prune-layers", "0,1,2,10"});
  }
}

TEST_F(QuantizeInterop, ARecipeMeansTheSameThere) {
  const auto checkpoint = make({12, 256, 512, 40, T::kF16, false});
  Recipe recipe;
  const T kinds[] = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kIQ4_NL, T::kQ5_1, T::kQ6_K, T::kQ8_0, T::kBF16};
  size_t next = 0;
  for (const TensorInfo& tensor : checkpoint->tensors())
    if (is_quantizable(tensor)) recipe.types[tensor.name] = kinds[next++ * 5 % std::size(kinds)];
  const std::string text = to_text(recipe);
  QuantizeOptions options;
  options.preset = "Q4_K_M";
  options.recipe.emplace();
  ASSERT_TRUE(options.recipe->add_text(text));
  std::vector<std::string> peer_options;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    const size_t equals = line.rfind('=');
    peer_options.insert(peer_options.end(),
                        {"--tensor-type", line.substr(0, equals + 1) + id_of(find_type(line.substr(equals + 1))->type)});
  }
  expect_same(*checkpoint, options, "15", peer_options);
  for (const auto& [name, type] : recipe.types) EXPECT_EQ(types_of(dir_ / "ours.gguf").at(name), find_type(type)->name);
}

TEST_F(QuantizeInterop, ConvertedAndQuantizedFilesRunThere) {
  const std::string demo = ASSAY_SOURCE_DIR "/demo/reference-9m", text = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  const auto checkpoint = small_model::open(demo);
  ASSERT_NE(checkpoint, nullptr);
  const auto perplexity = [&](const std::string& path) { return interop::peer_perplexity(path, text, 2); };
  const auto converted = conversion_request(*checkpoint, "f32");
  ASSERT_TRUE(converted);
  const auto output = plan_output(*checkpoint, *converted);
  ASSERT_TRUE(output);
  const auto written = write_model(*checkpoint, *output, nullptr, dir_ / "f32.gguf", {});
  ASSERT_TRUE(written) << written.error().message;
  const double base = perplexity(dir_ / "f32.gguf");
  EXPECT_GT(base, 1);
  EXPECT_LT(base, 300);  // about 120; a broken conversion is near the vocabulary's size, 8,192
  // The coarser the mix, the more it may cost: relative bounds with a margin of several times what is seen.
  for (const auto& [preset, bound] : {std::pair{"Q8_0", 0.01}, {"Q5_K_M", 0.02}, {"Q4_K_M", 0.05}, {"IQ4_XS", 0.05}, {"Q2_K", 0.5}}) {
    QuantizeOptions options;
    options.preset = preset;
    const std::string path = dir_ / (std::string(preset) + ".gguf");
    const auto report = quantize_model(*checkpoint, options, path);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_NEAR(perplexity(path) / base, 1, bound) << preset;
  }
}

// One kind of matrix at a time in each type that no preset here uses, with bounds on the perplexity a few times what is seen.
TEST_F(QuantizeInterop, GridTernaryAndFp4FilesRunThere) {
  const auto checkpoint = small_model::open(ASSAY_SOURCE_DIR "/demo/reference-9m");
  ASSERT_NE(checkpoint, nullptr);
  const auto perplexity_with = [&](const std::string& type) {
    QuantizeOptions options;
    options.preset = "Q8_0";
    options.force = true;
    if (!type.empty()) {
      EXPECT_TRUE(options.tensor_types.add_text("ffn_up=" + type));
    }
    const std::string path = dir_ / "mixed.gguf";
    const auto report = quantize_model(*checkpoint, options, path);
    EXPECT_TRUE(report) << type << ": " << (report ? "" : report.error().message);
    if (!report) return 0.0;
    if (!type.empty()) {
      EXPECT_EQ(types_of(path).at("blk.3.ffn_up.weight"), type);
    }
    return interop::peer_perplexity(path, ASSAY_SOURCE_DIR "/demo/evaluation.txt", 2);
  };
  const double base = perplexity_with("");
  ASSERT_GT(base, 1);
  for (const auto& [type, bound] : {std::pair{"IQ1_S", 0.5},
                                    {"IQ1_M", 0.5},
                                    {"IQ2_XXS", 0.3},
                                    {"IQ2_XS", 0.2},
                                    {"IQ2_S", 0.2},
                                    {"IQ3_XXS", 0.1},
                                    {"IQ3_S", 0.1},
                                    {"TQ1_0", 0.5},
                                    {"TQ2_0", 0.5},
                                    {"MXFP4", 0.05},
                                    {"NVFP4", 0.05}})
    EXPECT_NEAR(perplexity_with(type) / base, 1, bound) << type;
}

}  // namespace
}  // namespace assay
