#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "assay/base/random.h"
#include "assay/quant/codec.h"
#include "assay/quant/half.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

// Random blocks of every type, decoded by the gguf package and by us: bit for bit.
TEST(CodecInterop, DecodesAsTheGgufPackageBitForBit) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-decode";
  std::filesystem::create_directories(dir);
  constexpr size_t kBlocks = 200;
  std::map<std::string, std::vector<std::byte>> written;
  for (const Codec& codec : all_codecs()) {
    if (codec.info->type == GgmlType::kF64) continue;
    const size_t bytes = (codec.info->block_size == 1 ? 64 : 1) * codec.info->block_bytes * kBlocks;
    CounterRandom random(11, static_cast<uint64_t>(codec.info->type));
    std::vector<std::byte> data(bytes);
    for (std::byte& b : data) b = static_cast<std::byte>(random.next_below(256));
    std::ofstream(dir / (std::string(codec.info->name) + ".bin"), std::ios::binary)
        .write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(bytes));
    written[codec.info->name] = std::move(data);
  }
  const auto python = interop::run_python({"gguf", "numpy"}, "decode_reference.py", {dir.string()});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  size_t compared = 0;
  std::istringstream names(python.output);
  for (std::string name; std::getline(names, name);) {
    const auto found = written.find(name);
    if (found == written.end()) continue;
    const GgmlTypeInfo* info = find_type(name);
    std::ifstream file(dir / (name + ".f32"), std::ios::binary);
    std::vector<float> theirs(found->second.size() / info->block_bytes * info->block_size), ours(theirs.size());
    file.read(reinterpret_cast<char*>(theirs.data()), static_cast<std::streamsize>(theirs.size() * sizeof(float)));
    ASSERT_TRUE(decode(info->type, found->second, info->block_size == 1 ? 64 : info->block_size, ours)) << name;
    size_t different = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      if (std::isnan(ours[i]) && std::isnan(theirs[i])) continue;
      different += ours[i] != theirs[i];
    }
    EXPECT_EQ(different, 0u) << name;
    ++compared;
  }
  EXPECT_GE(compared, 20u) << python.output;
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
