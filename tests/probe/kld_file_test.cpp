#include "assay/probe/kld_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <span>

#include "assay/base/random.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing_files::ScratchDirectory;

constexpr uint32_t kVocab = 7, kContext = 8, kChunks = 2;
constexpr size_t kRowBytes = kld_row_words(kVocab) * 2;
constexpr size_t kRowsAt = 20 + kChunks * kContext * 4;

KldHeader header() {
  KldHeader header{kContext, kVocab, kChunks, {}};
  for (uint32_t i = 0; i < kContext * kChunks; ++i) header.tokens.push_back(static_cast<int32_t>(i * 3 % kVocab));
  return header;
}

std::vector<float> random_logits(size_t count, double scale = 2) {
  CounterRandom random(17, 1);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = static_cast<float>(scale * random.next_normal());
  return logits;
}

std::string written_file() {
  const ScratchDirectory dir;
  auto writer = KldWriter::create(dir / "base", header(), {});
  EXPECT_TRUE(writer) << writer.error().message;
  const auto logits = random_logits(header().rows() * kVocab);
  // In two unequal pieces.
  EXPECT_TRUE(writer->write(std::span(logits).first(2 * kVocab)));
  EXPECT_TRUE(writer->write(std::span(logits).subspan(2 * kVocab)));
  EXPECT_TRUE(writer->commit());
  return *read_text_file(dir / "base");
}

std::shared_ptr<const ByteSource> source_of(const std::string& bytes) {
  const auto view = std::as_bytes(std::span(bytes));
  return memory_source({view.begin(), view.end()}, "base");
}

// Opens the file and compares every row with itself.
Status use(const std::string& bytes) {
  ASSAY_ASSIGN(const KldReader reader, KldReader::open(source_of(bytes)));
  const auto logits = random_logits(reader.header().rows() * reader.header().vocab);
  std::vector<PositionObservation> seen(reader.header().rows());
  return reader.compare(0, logits.data(), seen);
}

template <class T>
std::string with(std::string bytes, size_t at, T value) {
  return bytes.replace(at, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
}

// By hand: logits 0, -8, -20. The last is cut at -16; codes 65535, 32768 (32767.5 to even), 0.
TEST(KldRow, EncodesByHand) {
  std::vector<uint16_t> words(kld_row_words(3), 0xFFFF);
  ASSERT_EQ(words.size(), 8u);
  encode_kld_row(std::vector<float>{0, -8, -20}, words);
  float scale, lowest;
  std::memcpy(&scale, words.data(), 4);
  std::memcpy(&lowest, words.data() + 2, 4);
  EXPECT_FLOAT_EQ(scale, 16.0F / 65535);
  EXPECT_NEAR(lowest, -16 - std::log(1 + std::exp(-8.0) + std::exp(-20.0)), 1e-6);
  EXPECT_EQ(words[4], 65535);
  EXPECT_NEAR(words[5], 32767.5, 0.5);
  EXPECT_EQ(words[6], 0);
  EXPECT_EQ(words[7], 0);                              // padding
  encode_kld_row(std::vector<float>{4, 4, 4}, words);  // flat: scale 0
  std::memcpy(&scale, words.data(), 4);
  std::memcpy(&lowest, words.data() + 2, 4);
  EXPECT_EQ(scale, 0.0F);
  EXPECT_NEAR(lowest, -std::log(3.0), 1e-6);
}

// Two outcomes, KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln(2/3); a third one below e^-16 is not counted, whatever the model says.
TEST(KldRow, ComparesByHand) {
  const auto half = static_cast<float>(std::log(0.5));
  const std::vector<float> base = {half, half, -16.5F}, model = {0, static_cast<float>(std::log(3.0)), -30};
  double mass = 0;
  const PositionObservation seen = compare_stored_row(base, model, 1, mass);
  EXPECT_NEAR(mass, 1, 1e-7);
  EXPECT_NEAR(seen.kl, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-6);
  EXPECT_NEAR(seen.nll_base, std::log(2.0), 1e-6);
  EXPECT_NEAR(seen.nll, std::log(4.0 / 3), 1e-6);
  EXPECT_NEAR(seen.p - seen.p_base, 0.25, 1e-6);
  EXPECT_NEAR(seen.margin - seen.margin_base, std::log(3.0), 1e-6);
  EXPECT_TRUE(seen.flip);  // the base's tie goes to index 0
  EXPECT_TRUE(seen.finite);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> broken = model;
    broken[0] = bad;
    EXPECT_FALSE(compare_stored_row(base, broken, 1, mass).finite) << bad;
  }
}

TEST(KldFile, WhatIsWrittenIsReadWithinHalfAStep) {
  const auto reader = KldReader::open(source_of(written_file()));
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->header().tokens, header().tokens);
  EXPECT_EQ(reader->header().rows(), 6u);
  EXPECT_EQ(reader->header().label(0), header().tokens[5]);  // the first scored position, 4, predicts token 5
  EXPECT_EQ(reader->header().label(3), header().tokens[8 + 5]);
  const auto logits = random_logits(6 * kVocab);
  std::vector<float> seen(6 * kVocab);
  ASSERT_TRUE(reader->read(0, 6, seen));
  std::vector<float> one(kVocab);
  ASSERT_TRUE(reader->read(4, 1, one));
  EXPECT_TRUE(std::equal(one.begin(), one.end(), seen.begin() + 4 * kVocab));
  for (size_t r = 0; r < 6; ++r) {
    double sum = 0;
    for (size_t v = 0; v < kVocab; ++v) sum += std::exp(static_cast<double>(logits[r * kVocab + v]));
    for (size_t v = 0; v < kVocab; ++v) EXPECT_NEAR(seen[r * kVocab + v], logits[r * kVocab + v] - std::log(sum), 0.5 * 16 / 65535 + 2e-6);
  }
}

TEST(KldFile, AModelAgainstItsOwnStoredLogitsIsNearZeroAndAnotherIsNot) {
  const auto reader = KldReader::open(source_of(written_file()));
  ASSERT_TRUE(reader);
  auto logits = random_logits(6 * kVocab);
  std::vector<PositionObservation> seen(6);
  ASSERT_TRUE(reader->compare(0, logits.data(), seen));
  for (const auto& position : seen) {
    EXPECT_GE(position.kl, 0.0);
    EXPECT_LT(position.kl, 1e-8);  // half a step squared
    EXPECT_FALSE(position.flip);
    EXPECT_NEAR(position.nll, position.nll_base, 3e-4);
  }
  logits[3] += 1;
  ASSERT_TRUE(reader->compare(0, logits.data(), seen));
  EXPECT_GT(seen[0].kl, 1e-4);
  EXPECT_LT(seen[1].kl, 1e-8);
  logits[3] = std::numeric_limits<float>::quiet_NaN();
  const Status broken = reader->compare(0, logits.data(), seen);
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("scored position 0"));
}

struct Fault {
  const char* name;
  std::function<std::string(std::string)> make;
  const char* says;
};

const Fault kFaults[] = {
    {"empty", [](std::string) { return std::string(); }, "magic"},
    {"magic", [](std::string s) { return with(s, 0, 'x'); }, "magic"},
    {"no_sizes", [](std::string s) { return s.substr(0, 10); }, "n_ctx"},
    {"negative_context", [](std::string s) { return with(s, 8, int32_t{-512}); }, "n_ctx"},
    {"context_without_scored_positions", [](std::string s) { return with(s, 8, int32_t{1}); }, "n_ctx"},
    {"huge_context", [](std::string s) { return with(s, 8, INT32_MAX); }, "n_ctx"},
    {"negative_vocabulary", [](std::string s) { return with(s, 12, int32_t{-1}); }, "n_vocab"},
    {"huge_vocabulary", [](std::string s) { return with(s, 12, INT32_MAX); }, "n_vocab"},
    {"no_chunks", [](std::string s) { return with(s, 16, int32_t{0}); }, "n_chunk"},
    {"negative_chunks", [](std::string s) { return with(s, 16, int32_t{-3}); }, "n_chunk"},
    {"more_chunks_than_bytes", [](std::string s) { return with(s, 16, INT32_MAX); }, "size"},
    {"sizes_beyond_64_bits", [](std::string s) { return with(with(with(s, 8, int32_t{1 << 24}), 12, int32_t{1 << 24}), 16, INT32_MAX); },
     "size"},
    {"other_vocabulary", [](std::string s) { return with(s, 12, int32_t{9}); }, "size"},
    {"truncated_tokens", [](std::string s) { return s.substr(0, 30); }, "truncated"},
    {"truncated_rows", [](std::string s) { return s.substr(0, s.size() - 1); }, "truncated"},
    {"appended_byte", [](std::string s) { return s + '\0'; }, "appended"},
    {"negative_token", [](std::string s) { return with(s, 20 + 4 * 3, int32_t{-1}); }, "token 3"},
    {"token_beyond_vocabulary", [](std::string s) { return with(s, 20 + 4 * 5, int32_t{7}); }, "token 5"},
    {"nan_scale", [](std::string s) { return with(s, kRowsAt + kRowBytes, NAN); }, "chunk 0, position 5"},
    {"negative_scale", [](std::string s) { return with(s, kRowsAt + 4 * kRowBytes, -1e-5F); }, "chunk 1, position 5"},
    {"wide_scale", [](std::string s) { return with(s, kRowsAt, 1.0F); }, "scale"},
    {"nan_lowest", [](std::string s) { return with(s, kRowsAt + 4, NAN); }, "lowest"},
    {"positive_lowest", [](std::string s) { return with(s, kRowsAt + 4, 2.0F); }, "lowest"},
    {"lowest_too_low", [](std::string s) { return with(s, kRowsAt + 4, -100.0F); }, "lowest"},
    {"no_distribution", [](std::string s) { return with(s, kRowsAt + 4, 0.0F); }, "sum to"},
};

class KldFaults : public testing::TestWithParam<Fault> {};

TEST_P(KldFaults, IsRefusedByName) {
  const std::string good = written_file();
  ASSERT_TRUE(use(good));  // control
  const Status status = use(GetParam().make(good));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().says));
  EXPECT_THAT(status.error().message, HasSubstr("base"));
}

INSTANTIATE_TEST_SUITE_P(Each, KldFaults, testing::ValuesIn(kFaults), [](const auto& fault) { return std::string(fault.param.name); });

TEST(KldFile, ASourceThatFailsIsAnError) {
  const std::string good = written_file();
  const auto failing = callback_source(
      good.size(),
      [&](uint64_t offset, std::span<std::byte> out) -> Status {
        if (offset + out.size() > kRowsAt) return fail(ErrorCode::kIo, "base: the disk is gone");
        std::memcpy(out.data(), good.data() + offset, out.size());
        return {};
      },
      "base", 1);
  const auto reader = KldReader::open(failing);
  if (!reader) {
    EXPECT_EQ(reader.error().code, ErrorCode::kIo);  // a reader that looks ahead meets it at once
    return;
  }
  std::vector<float> row(kVocab);
  const Status status = reader->read(0, 1, row);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
}

TEST(KldWriter, LeavesNothingUnlessCommittedWhole) {
  const ScratchDirectory dir;
  const auto logits = random_logits(header().rows() * kVocab);
  {
    auto writer = KldWriter::create(dir / "base", header(), {});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(std::span(logits).first(kVocab)));
    EXPECT_FALSE(writer->commit());
  }
  EXPECT_TRUE(dir.names().empty());
  {
    auto writer = KldWriter::create(dir / "base", header(), {});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(logits));
    EXPECT_FALSE(writer->write(std::span(logits).first(kVocab)));  // more than the header says
    EXPECT_TRUE(writer->commit());
  }
  EXPECT_FALSE(KldWriter::create(dir / "base", header(), {}));  // exists, no force
  KldHeader wrong = header();
  wrong.tokens[2] = kVocab;
  EXPECT_FALSE(KldWriter::create(dir / "other", wrong, {}));
  wrong = header();
  wrong.tokens.pop_back();
  EXPECT_FALSE(KldWriter::create(dir / "other", wrong, {}));
  EXPECT_EQ(dir.names().size(), 1u);
}

// By hand, methods.md 1.8: logits 0, -8, -20 are stored as 65535, 32768 and 0 steps of 16 / 65535 above -16. The middle one is half a step
// too high; the last is lifted to -16 - log Z, which is not counted. One error of half a step: p phi(d), and p d as llama.cpp has it.
TEST(KldRow, TheFloorOfTheFormatByHand) {
  const FormatFloor floor = format_floor(std::vector<float>{0, -8, -20});
  const double step = 16.0 / 65535, d = step / 2, p = std::exp(-8.0) / (1 + std::exp(-8.0));
  EXPECT_NEAR(floor.plain, p * d, 2e-6);  // float32 of the lowest log-probability: 1e-6 at -16
  EXPECT_NEAR(floor.kl, p * d * d / 2, 1e-11);
  EXPECT_GE(floor.kl, 0);
  // Two logits are both ends of the codes: nothing is lost but float32's rounding.
  EXPECT_NEAR(format_floor(std::vector<float>{15, 0}).kl, 0, 1e-11);
  // No logit is off by more than half a step: KL is below half its square.
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> logits = random_logits(50);
    logits[seed] += 3;
    EXPECT_LT(format_floor(logits).kl, 0.5 * (d + 2e-6) * (d + 2e-6));
  }
}

// What is told when a file is written: the mean of its rows.
TEST(KldFile, TheWriterKeepsTheMeanFloor) {
  const ScratchDirectory dir;
  auto writer = KldWriter::create(dir / "base", header(), {});
  ASSERT_TRUE(writer);
  const auto logits = random_logits(header().rows() * kVocab, 6);
  double kl = 0, plain = 0;
  for (uint64_t r = 0; r < header().rows(); ++r) {
    const FormatFloor one = format_floor(std::span(logits).subspan(r * kVocab, kVocab));
    kl += one.kl / static_cast<double>(header().rows());
    plain += one.plain / static_cast<double>(header().rows());
  }
  ASSERT_TRUE(writer->write(std::span(logits).first(2 * kVocab)));
  ASSERT_TRUE(writer->write(std::span(logits).subspan(2 * kVocab)));
  EXPECT_GT(kl, 0);
  EXPECT_DOUBLE_EQ(writer->floor().kl, kl);
  EXPECT_NEAR(writer->floor().plain, plain, 1e-15);
  // It is what a reader of the file finds.
  ASSERT_TRUE(writer->commit());
  const auto reader = KldReader::open(*open_file(dir / "base"));
  ASSERT_TRUE(reader);
  std::vector<PositionObservation> seen(header().rows());
  ASSERT_TRUE(reader->compare(0, logits.data(), seen));
  double read = 0;
  for (const PositionObservation& one : seen) read += one.kl / static_cast<double>(seen.size());
  EXPECT_NEAR(read, kl, 1e-12);
}

}  // namespace
}  // namespace assay
