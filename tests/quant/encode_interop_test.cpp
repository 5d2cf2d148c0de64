// Bytes we encode, read by others: PyPI gguf and ggml's own library decode them bit for bit as we do; and our weighted error is at most
// that of ggml's encoder on the same weights.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "assay/base/random.h"
#include "assay/quant/codec.h"
#include "tests/interop/llama_peer.h"

namespace assay {
namespace {

constexpr uint64_t kRow = 1024, kRows = 8;

std::vector<float> weights() {
  CounterRandom random(31, 1);
  std::vector<float> values(kRow * kRows);
  for (float& v : values) v = static_cast<float>(0.02 * random.next_normal() * (random.next_below(30) == 0 ? 6 : 1));
  return values;
}
std::vector<float> importance() {
  CounterRandom random(31, 2);
  std::vector<float> values(kRow);
  for (float& v : values) v = static_cast<float>(std::exp(1.5 * random.next_normal()));
  return values;
}

std::vector<std::byte> encoded(const Codec& codec, std::span<const float> values, bool weighted) {
  std::vector<std::byte> bytes(values.size() / codec.info->block_size * codec.info->block_bytes);
  const auto columns = importance();
  EncodeOptions options;
  if (weighted) options.importance = columns;
  EXPECT_TRUE(encode(codec.info->type, values, kRow, bytes, options));
  return bytes;
}

std::vector<float> decoded(const Codec& codec, std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / codec.info->block_bytes * codec.info->block_size);
  EXPECT_TRUE(decode(codec.info->type, bytes, kRow, values));
  return values;
}

bool is_blocked(const Codec& codec) { return codec.encode != nullptr && codec.info->block_size > 1; }

TEST(EncodeInterop, TheGgufPackageDecodesOurBytes) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-encode";
  std::filesystem::create_directories(dir);
  const auto values = weights();
  for (const Codec& codec : all_codecs()) {
    if (!is_blocked(codec)) continue;
    const auto bytes = encoded(codec, values, true);
    std::ofstream(dir / (std::string(codec.info->name) + ".bin"), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  const auto python = interop::run_python({"gguf", "numpy"}, "decode_reference.py", {dir.string()});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  size_t compared = 0;
  std::istringstream names(python.output);
  for (std::string name; std::getline(names, name);) {
    const GgmlTypeInfo* info = find_type(name);
    if (info == nullptr) continue;
    std::ifstream file(dir / (name + ".f32"), std::ios::binary);
    std::vector<float> theirs(values.size());
    file.read(reinterpret_cast<char*>(theirs.data()), static_cast<std::streamsize>(theirs.size() * sizeof(float)));
    const Codec& codec = *find_codec(info->type);
    EXPECT_EQ(decoded(codec, encoded(codec, values, true)), theirs) << name;
    ++compared;
  }
  EXPECT_GE(compared, 22u) << python.output;
  std::filesystem::remove_all(dir);
}

class GgmlLibrary : public testing::Test {
 protected:
  void SetUp() override {
    if (interop::llama_directory().empty()) GTEST_SKIP() << interop::kNoLlama;
    library_ = dlopen((interop::llama_directory() + "/libggml-base.so").c_str(), RTLD_NOW);
    ASSERT_NE(library_, nullptr) << dlerror();
  }
  template <class Function>
  Function call(const std::string& name) const {
    return reinterpret_cast<Function>(dlsym(library_, name.c_str()));
  }
  void* library_ = nullptr;
};

// The library's decoders are named by type: q4_K, iq2_xxs, mxfp4.
std::string decoder_name(std::string type) {
  const bool k_quant = type.ends_with("_K");
  std::ranges::transform(type, type.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  if (k_quant) type.back() = 'K';
  return "dequantize_row_" + type;
}

TEST_F(GgmlLibrary, DecodesOurBytes) {
  const auto values = weights();
  for (const Codec& codec : all_codecs()) {
    if (!is_blocked(codec)) continue;
    const auto decoder = call<void (*)(const void*, float*, int64_t)>(decoder_name(codec.info->name));
    ASSERT_NE(decoder, nullptr) << codec.info->name;
    for (const bool weighted : {false, true}) {
      const auto bytes = encoded(codec, values, weighted);
      std::vector<float> theirs(values.size());
      decoder(bytes.data(), theirs.data(), static_cast<int64_t>(values.size()));
      EXPECT_EQ(decoded(codec, bytes), theirs) << codec.info->name;
    }
  }
}

TEST_F(GgmlLibrary, ErrsAtLeastAsMuch) {
  const auto chunk = call<size_t (*)(int, const float*, void*, int64_t, int64_t, int64_t, const float*)>("ggml_quantize_chunk");
  const auto init = call<void (*)(int)>("ggml_quantize_init");
  const auto requires_imatrix = call<bool (*)(int)>("ggml_quantize_requires_imatrix");
  ASSERT_TRUE(chunk != nullptr && init != nullptr && requires_imatrix != nullptr);
  const auto values = weights(), columns = importance();
  const std::vector<float> ones(kRow, 1.0f);
  for (const Codec& codec : all_codecs()) {
    if (!is_blocked(codec)) continue;
    const int type = static_cast<int>(codec.info->type);
    init(type);
    for (const bool weighted : {false, true}) {
      if (!weighted && requires_imatrix(type)) continue;  // the library refuses (aborts)
      std::vector<std::byte> bytes(values.size() / codec.info->block_size * codec.info->block_bytes);
      chunk(type, values.data(), bytes.data(), 0, kRows, kRow, weighted ? columns.data() : nullptr);
      const auto& measure = weighted ? columns : ones;
      const double theirs = weighted_error(values, decoded(codec, bytes), kRow, measure);
      const double ours = weighted_error(values, decoded(codec, encoded(codec, values, weighted)), kRow, measure);
      EXPECT_LE(ours, theirs) << codec.info->name << ", weighted " << weighted;
    }
  }
}

}  // namespace
}  // namespace assay
