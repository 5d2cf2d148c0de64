// Files of second moments: read back, gone on with after a stop, merged, and refused where damaged.
#include "assay/file/moments.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/file/test_files.h"

namespace assay {
namespace {

MomentsHeader header(uint64_t tokens = 100) {
  MomentsHeader header;
  header.inputs = {{"blk.0.attn_q.weight", {"blk.0.attn_k.weight", "blk.0.attn_v.weight"}, 3}, {"blk.0.ffn_down.weight", {}, 2}};
  header.tokens = tokens;
  header.provenance = {{"model_sha256", "abc"}};
  return header;
}

const std::vector<float> kFirst = {2, 1, 0, 1, 2, 0, 0, 0, 1}, kSecond = {1, 0.5f, 0.5f, 1};

class Moments : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return dir_ / name; }
  std::string written(const std::string& name, const MomentsHeader& what = header(), float factor = 1) const {
    auto writer = MomentsWriter::create(path(name), what, {});
    EXPECT_TRUE(writer) << writer.error().message;
    const auto scaled = [&](std::vector<float> matrix) {
      for (float& value : matrix) value *= factor;
      return matrix;
    };
    EXPECT_TRUE(writer->add(scaled(kFirst)));
    EXPECT_TRUE(writer->add(scaled(kSecond)));
    EXPECT_TRUE(writer->commit({{"damping.attn_q", "0.01"}}));
    return path(name);
  }
  testing_files::ScratchDirectory dir_;
};

TEST_F(Moments, AreReadAsWritten) {
  const auto file = MomentsFile::open(written("m.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->header().tokens, 100u);
  EXPECT_EQ(file->header().provenance.at("model_sha256"), "abc");
  EXPECT_EQ(file->header().provenance.at("damping.attn_q"), "0.01");
  const MomentInput* input = file->find("blk.0.attn_v.weight");
  ASSERT_NE(input, nullptr);
  EXPECT_EQ(input->tensor, "blk.0.attn_q.weight");
  EXPECT_EQ(*file->read(*input), kFirst);
  EXPECT_EQ(*file->read(*file->find("blk.0.ffn_down.weight")), kSecond);
  EXPECT_EQ(file->find("blk.1.ffn_down.weight"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(path("m.safetensors.partial")));
  EXPECT_FALSE(std::filesystem::exists(path("m.safetensors.partial.done")));
}

TEST_F(Moments, AWriterGoesOnWhereAnotherStopped) {
  const std::string whole = written("whole.safetensors");
  {
    auto writer = MomentsWriter::create(path("m.safetensors"), header(), {});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->add(kFirst, "a note"));
  }
  EXPECT_FALSE(std::filesystem::exists(path("m.safetensors")));
  auto writer = MomentsWriter::create(path("m.safetensors"), header(), {});
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->finished(), 1u);
  EXPECT_EQ(writer->notes().at("blk.0.attn_q.weight"), "a note");
  EXPECT_EQ(*writer->read(0), kFirst);
  EXPECT_EQ(writer->commit().error().code, ErrorCode::kInternal);  // too early
  ASSERT_TRUE(writer->add(kSecond));
  ASSERT_TRUE(writer->commit({{"damping.attn_q", "0.01"}}));
  EXPECT_EQ(*read_text_file(path("m.safetensors")), *read_text_file(whole));
}

TEST_F(Moments, OtherInputsStartAnew) {
  {
    auto writer = MomentsWriter::create(path("m.safetensors"), header(), {});
    ASSERT_TRUE(writer->add(kFirst));
  }
  EXPECT_EQ(MomentsWriter::create(path("m.safetensors"), header(101), {})->finished(), 0u);
}

TEST_F(Moments, ADamagedNoteOfWhatIsFinishedStartsAnew) {
  {
    auto writer = MomentsWriter::create(path("m.safetensors"), header(), {});
    ASSERT_TRUE(writer->add(kFirst));
  }
  for (const char* said : {"{}", "{\"hashes\": 1, \"notes\": {}}", "[]", "not JSON"}) {
    testing_files::put_file(path("m.safetensors.partial.done"), said);
    const auto writer = MomentsWriter::create(path("m.safetensors"), header(), {});
    ASSERT_TRUE(writer) << said;
    EXPECT_EQ(writer->finished(), 0u) << said;
  }
}

TEST_F(Moments, AnExistingFileIsNotReplacedUnasked) {
  written("m.safetensors");
  EXPECT_EQ(MomentsWriter::create(path("m.safetensors"), header(), {}).error().code, ErrorCode::kUsage);
}

TEST_F(Moments, MergeByTokens) {
  std::vector<MomentsFile> files;
  files.push_back(*MomentsFile::open(written("a.safetensors", header(100), 1)));
  files.push_back(*MomentsFile::open(written("b.safetensors", header(300), 3)));
  ASSERT_TRUE(merge_moments(files, path("m.safetensors"), {}));
  const auto merged = MomentsFile::open(path("m.safetensors"));
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_EQ(merged->header().tokens, 400u);
  const auto matrix = *merged->read(*merged->find("blk.0.attn_k.weight"));
  for (size_t i = 0; i < matrix.size(); ++i) EXPECT_FLOAT_EQ(matrix[i], 2.5f * kFirst[i]);
}

TEST_F(Moments, OfAnotherModelAreNotMerged) {
  MomentsHeader other = header();
  other.inputs[1].tensor = "blk.1.ffn_down.weight";
  std::vector<MomentsFile> files;
  files.push_back(*MomentsFile::open(written("a.safetensors")));
  files.push_back(*MomentsFile::open(written("b.safetensors", other)));
  const Status merged = merge_moments(files, path("m.safetensors"), {});
  ASSERT_FALSE(merged);
  EXPECT_EQ(merged.error().code, ErrorCode::kMismatch);
  EXPECT_NE(merged.error().message.find("blk.0.ffn_down.weight"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("m.safetensors")));
}

TEST_F(Moments, DamageIsNamed) {
  const std::string good = *read_text_file(written("good.safetensors"));
  const auto open = [&](std::string bytes) {
    std::ofstream(path("bad.safetensors"), std::ios::binary) << bytes;
    return MomentsFile::open(path("bad.safetensors"));
  };
  ASSERT_TRUE(open(good));
  std::string bytes = good;
  bytes.back() ^= 1;  // a bit of the last matrix
  const auto flipped = open(bytes);
  ASSERT_TRUE(flipped);
  const auto read = flipped->read(*flipped->find("blk.0.ffn_down.weight"));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("not what was hashed"), std::string::npos);
  EXPECT_FALSE(open(good.substr(0, good.size() - 4)));  // truncated
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return open(text);
  };
  EXPECT_NE(replaced("assay.second_moments.1", "assay.second_moments.9").error().message.find("not a file of second moments"),
            std::string::npos);
  EXPECT_NE(replaced("\"tokens\":\"100\"", "\"tokens\":\"1x0\"").error().message.find("tokens"), std::string::npos);
  EXPECT_NE(replaced("sha256.blk.0.ffn_down", "sha255.blk.0.ffn_down").error().message.find("no hash"), std::string::npos);
}

}  // namespace
}  // namespace assay
