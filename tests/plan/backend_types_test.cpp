// Types by backend: the facts that differ, what holds for all, and what an unknown name gets.
#include "assay/plan/backend_types.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "assay/quant/codec.h"

namespace assay {
namespace {

bool has(const char* backend, GgmlType type) { return multiplies(**find_backend(backend), type); }

TEST(BackendTypes, KnowWhatEachLacks) {
  EXPECT_TRUE(has("cpu", GgmlType::kTQ1_0));
  EXPECT_TRUE(has("cpu", GgmlType::kNVFP4));
  for (const char* gpu : {"cuda", "rocm", "musa", "vulkan", "metal", "sycl"}) {
    EXPECT_FALSE(has(gpu, GgmlType::kTQ1_0)) << gpu;
    EXPECT_FALSE(has(gpu, GgmlType::kTQ2_0)) << gpu;
    EXPECT_TRUE(has(gpu, GgmlType::kMXFP4)) << gpu;
  }
  EXPECT_TRUE(has("cuda", GgmlType::kNVFP4));
  EXPECT_FALSE(has("metal", GgmlType::kNVFP4));
}

TEST(BackendTypes, AllHaveTheUsualOnesAndNoneWhatNoMatrixIs) {
  for (const Backend& backend : all_backends()) {
    const std::vector<GgmlType> types = types_of(backend);
    for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ4_0, GgmlType::kQ8_0, GgmlType::kQ2_K,
                                GgmlType::kQ6_K, GgmlType::kIQ1_S, GgmlType::kIQ3_S, GgmlType::kIQ4_XS})
      EXPECT_TRUE(std::find(types.begin(), types.end(), type) != types.end()) << backend.name << " " << find_type(type)->name;
    for (const GgmlType type : {GgmlType::kI32, GgmlType::kF64, GgmlType::kQ8_1, GgmlType::kQ8_K})
      EXPECT_FALSE(multiplies(backend, type)) << backend.name << " " << find_type(type)->name;
  }
}

// What somebody is told to use is what we can write.
TEST(BackendTypes, TheCpuHasEveryTypeWithAnEncoder) {
  for (const GgmlTypeInfo& info : all_types())
    if (const Codec* const codec = find_codec(info.type); codec != nullptr && codec->encode != nullptr)
      EXPECT_TRUE(has("cpu", info.type)) << info.name;
}

TEST(BackendTypes, NamesTheKnownOnesWhenAskedForAnother) {
  EXPECT_TRUE(find_backend("CUDA").has_value());
  const auto unknown = find_backend("opencl");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kUsage);
  EXPECT_NE(unknown.error().message.find("cpu, cuda, rocm, musa, vulkan, metal, sycl"), std::string::npos) << unknown.error().message;
}

}  // namespace
}  // namespace assay
