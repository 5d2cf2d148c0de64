#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "assay/base/random.h"
#include "assay/quant/code_move.h"
#include "assay/quant/codec.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

constexpr uint64_t kRow = 512;
constexpr int kRows = 60;

struct Moved {
  std::vector<std::byte> bytes;  // kRows rows, each with one move
  std::vector<float> told;       // the unmoved rows as we decode them, with the changes that were reported
};

// Rows of even number: a code moved by a level; odd: one byte plus or minus 1.
Moved moved_rows(const Codec& codec) {
  const GgmlType type = codec.info->type;
  CounterRandom random(31, static_cast<uint64_t>(type));
  Moved moved;
  for (int r = 0; r < kRows; ++r) {
    std::vector<float> values(kRow);
    std::vector<std::byte> row(kRow / codec.info->block_size * codec.info->block_bytes);
    for (float& value : values) value = static_cast<float>(0.02 * random.next_normal());
    if (codec.encode != nullptr) {
      EXPECT_TRUE(encode(type, values, kRow, row, {.threads = 1}));
    } else {
      for (std::byte& byte : row) byte = static_cast<std::byte>(random.next_below(256));
    }
    EXPECT_TRUE(decode(type, row, kRow, values));
    const int amount = random.next_below(2) ? 1 : -1;
    if (r % 2 == 0 && code_move_kind(type) != CodeMoveKind::kNone) {
      for (int tries = 0; tries < 100; ++tries) {  // until one is not saturated
        const auto move = move_code(type, row, random.next_below(kRow), amount);
        EXPECT_TRUE(move);
        for (const DecodedChange& change : move->changes) values[change.weight] = change.after;
        if (!move->saturated) break;
      }
    } else {
      const auto move = add_to_byte(type, row, random.next_below(row.size()), amount);
      EXPECT_TRUE(move);
      for (const DecodedChange& change : move->changes) values[change.weight] = change.after;
    }
    moved.bytes.insert(moved.bytes.end(), row.begin(), row.end());
    moved.told.insert(moved.told.end(), values.begin(), values.end());
  }
  return moved;
}

// Moved rows of every type, decoded by the gguf package: the values that the moves reported, and no other change.
TEST(CodeMoveInterop, TheGgufPackageDecodesWhatMovesReport) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "assay-moves";
  std::filesystem::create_directories(dir);
  std::map<std::string, Moved> written;
  for (const Codec& codec : all_codecs()) {
    if (codec.info->type == GgmlType::kF64) continue;
    Moved moved = moved_rows(codec);
    std::ofstream(dir / (std::string(codec.info->name) + ".bin"), std::ios::binary)
        .write(reinterpret_cast<const char*>(moved.bytes.data()), static_cast<std::streamsize>(moved.bytes.size()));
    written[codec.info->name] = std::move(moved);
  }
  const auto python = interop::run_python({"gguf", "numpy"}, "decode_reference.py", {dir.string()});
  ASSERT_EQ(python.exit_code, 0) << python.output;
  size_t compared = 0;
  std::istringstream names(python.output);
  for (std::string name; std::getline(names, name);) {
    const auto found = written.find(name);
    if (found == written.end()) continue;
    const std::vector<float>& told = found->second.told;
    std::vector<float> theirs(told.size());
    std::ifstream file(dir / (name + ".f32"), std::ios::binary);
    file.read(reinterpret_cast<char*>(theirs.data()), static_cast<std::streamsize>(theirs.size() * sizeof(float)));
    ASSERT_EQ(file.gcount(), static_cast<std::streamsize>(theirs.size() * sizeof(float))) << name;
    size_t different = 0;
    for (size_t i = 0; i < told.size(); ++i) different += told[i] != theirs[i] && !(std::isnan(told[i]) && std::isnan(theirs[i]));
    EXPECT_EQ(different, 0u) << name;
    ++compared;
  }
  EXPECT_GE(compared, 20u) << python.output;
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay
