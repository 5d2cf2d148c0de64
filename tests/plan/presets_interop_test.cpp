// Presets against llama.cpp's own library: tiny random models of many shapes, quantized by it, types read back.
// ASSAY_WRITE_OBSERVATIONS=FILE writes what was observed in the form of preset_observations.txt.
#include <gtest/gtest.h>

#include <fstream>

#include "assay/base/random.h"
#include "assay/file/imatrix.h"
#include "assay/plan/presets.h"
#include "tests/file/test_files.h"
#include "tests/interop/llama_peer.h"
#include "tests/plan/preset_models.h"

namespace assay {
namespace {

using preset_models::PresetModel;

// Layer counts around every threshold, queries per key 1, 2, 4, 8, tied and not, rows that are no multiple of 256 or of 32,
// fused qkv, experts, the 80-layer rule with and without grouped queries.
const PresetModel kModels[] = {
    {"llama", 3, 256, 512, 8, 8, 0, false},  {"llama", 12, 256, 512, 8, 8, 0, true},   {"llama", 16, 256, 512, 8, 4, 0, false},
    {"llama", 22, 256, 512, 32, 4, 0, true}, {"llama", 24, 256, 512, 8, 2, 0, true},   {"llama", 32, 256, 512, 8, 8, 0, false},
    {"llama", 40, 256, 512, 8, 4, 0, false}, {"llama", 80, 256, 512, 8, 8, 0, false},  {"llama", 80, 256, 512, 8, 4, 0, false},
    {"qwen2", 80, 256, 512, 8, 8, 0, false}, {"qwen2", 24, 896, 768, 14, 2, 0, true},  {"qwen2", 28, 896, 608, 14, 7, 0, false},
    {"qwen3", 80, 256, 512, 8, 1, 0, true},  {"qwen3", 28, 256, 512, 16, 8, 0, false}, {"gpt2", 12, 256, 512, 8, 8, 0, true},
    {"gpt2", 24, 224, 896, 8, 8, 0, false},  {"llama", 12, 40, 72, 4, 2, 0, false},    {"llama", 16, 256, 512, 8, 2, 8, false},
    {"llama", 16, 256, 512, 8, 2, 4, true},
};

class PresetsInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
  }

  void write(const PresetModel& model) {
    const auto filler = [&](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
      CounterRandom random(7, tensor.offset);
      for (size_t i = 0; i < out.size(); i += sizeof(float)) {
        const auto value = static_cast<float>(random.next_normal());
        std::memcpy(out.data() + i, &value, sizeof value);
      }
      return {};
    };
    GgufWriteOptions options;
    options.force = true;
    const auto written = write_gguf(dir_ / "in.gguf", model.metadata(), model.tensors(), filler, options);
    ASSERT_TRUE(written) << written.error().message;
    Imatrix imatrix;
    for (const TensorInfo& tensor : model.tensors()) {
      if (!is_quantizable(tensor)) continue;
      ImatrixEntry& entry = imatrix.entries[tensor.name];
      entry.columns = tensor.row_length();
      entry.sums.assign(tensor.row_length() * tensor.dims[2], 1);
      entry.counts.assign(tensor.dims[2], 1);
    }
    imatrix.chunk_count = 1;
    OutputOptions output;
    output.force = true;
    ASSERT_TRUE(write_imatrix(dir_ / "imatrix.dat", imatrix, ImatrixFormat::kDat, output));
  }

  // The types of the file the library writes, or "refused".
  std::string observe(const PresetModel& model, const Preset& preset, std::vector<std::string> options) {
    std::vector<std::string> arguments = {"quantize", dir_ / "in.gguf", dir_ / "out.gguf", std::to_string(preset.file_type)};
    arguments.insert(arguments.end(), options.begin(), options.end());
    if (interop::run_llama_peer(arguments).status != 0) return "refused";
    const auto file = Gguf::open(dir_ / "out.gguf");
    if (!file) return file.error().message;
    std::vector<std::pair<std::string, GgmlType>> types;
    for (const TensorInfo& tensor : model.tensors()) {
      const GgmlType type = file->find(tensor.name)->type;
      if (is_quantizable(tensor)) {
        types.emplace_back(tensor.name, type);
      } else {
        EXPECT_EQ(type, GgmlType::kF32) << tensor.name;
      }
    }
    return preset_models::describe(types);
  }

  testing_files::ScratchDirectory dir_;
};

TEST_F(PresetsInterop, EveryTensorHasTheTypeOfTheLibrary) {
  std::ofstream observations;
  if (const char* path = std::getenv("ASSAY_WRITE_OBSERVATIONS")) observations.open(path);
  for (const PresetModel& model : kModels) {
    SCOPED_TRACE(model.describe());
    write(model);
    if (observations.is_open()) observations << model.describe() << "\n";
    for (const Preset& preset : all_presets()) {
      SCOPED_TRACE(preset.name);
      std::string seen[2];
      for (const bool imatrix : {false, true}) {
        std::vector<std::string> options;
        if (imatrix) options = {"--imatrix", dir_ / "imatrix.dat"};
        seen[imatrix] = observe(model, preset, options);
        if (!imatrix && preset.needs_importance && seen[0] == "refused") continue;
        const Recipe recipe = preset_recipe(preset, model.tensors(), preset_context(model.metadata(), imatrix));
        EXPECT_EQ(preset_models::describe(recipe, model.tensors()), seen[imatrix]) << (imatrix ? "with imatrix" : "without imatrix");
      }
      if (!observations.is_open()) continue;
      if (seen[0] == seen[1]) {
        observations << preset.name << " both " << seen[0] << "\n";
      } else {
        observations << preset.name << " none " << seen[0] << "\n" << preset.name << " imatrix " << seen[1] << "\n";
      }
    }
  }
}

TEST_F(PresetsInterop, PureGivesTheBaseTypeEverywhere) {
  for (const PresetModel& model : {kModels[5], kModels[10]}) {
    SCOPED_TRACE(model.describe());
    write(model);
    for (const Preset& preset : all_presets()) {
      if (preset.needs_importance) continue;
      PresetContext context = preset_context(model.metadata(), false);
      context.pure = true;
      EXPECT_EQ(preset_models::describe(preset_recipe(preset, model.tensors(), context), model.tensors()),
                observe(model, preset, {"--pure"}))
          << preset.name;
    }
  }
}

}  // namespace
}  // namespace assay
