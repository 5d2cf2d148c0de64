// Seeded mutations of small valid files: every reader answers with a value or a typed error, and what it accepts can be read.
// ASSAY_FUZZ_ITERATIONS sets the number per format; run it with many under the sanitizers (cmake preset asan-core).
#include <cstdlib>

#include "assay/base/random.h"
#include "assay/file/gguf.h"
#include "assay/file/gguf_semantics.h"
#include "assay/file/imatrix.h"
#include "assay/file/safetensors.h"
#include "tests/file/raw_gguf.h"
#include "tests/file/raw_safetensors.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using namespace testing_files;

uint64_t iterations() {
  const char* wanted = std::getenv("ASSAY_FUZZ_ITERATIONS");
  return wanted == nullptr ? 20000 : std::strtoull(wanted, nullptr, 10);
}

// One to four changes: a flipped bit, a byte, a length-like number, bytes cut out, put in, or copied from elsewhere, the end cut off.
std::string mutate(std::string bytes, CounterRandom& random) {
  static constexpr uint64_t kNumbers[] = {
      0, 1, 0x7f, 0xff, 0x7fffffff, 0xffffffff, uint64_t{1} << 32, INT64_MAX, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7};
  for (uint64_t changes = 1 + random.next_below(4); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random.next_below(bytes.size());
    const size_t length = std::min<size_t>(1 + random.next_below(16), bytes.size() - at);
    switch (random.next_below(7)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.next_below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random.next_u32());
        break;
      case 2: {
        const std::string number = raw(kNumbers[random.next_below(std::size(kNumbers))]).substr(0, random.next_below(2) ? 4 : 8);
        bytes.replace(at, std::min(number.size(), bytes.size() - at), number);
        break;
      }
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, length, static_cast<char>(random.next_u32()));
        break;
      case 5:
        bytes.insert(random.next_below(bytes.size() + 1), bytes.substr(at, length));
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

void expect_typed(const Error& error, uint64_t seed) {
  EXPECT_TRUE(error.code == ErrorCode::kBadInput || error.code == ErrorCode::kUnsupported) << seed << ": " << error.message;
  EXPECT_FALSE(error.message.empty()) << seed;
}

std::string rich_gguf() {
  RawGguf file;
  file.keys = {raw_key("general.architecture", 8) + raw_string("llama"),
               raw_u32("general.alignment", 32),
               raw_u32("llama.block_count", 1),
               raw_u32("llama.embedding_length", 8),
               raw_u32("llama.attention.head_count", 2),
               raw_key("b", 7) + "\1",
               raw_key("d", 12) + raw(0.5),
               raw_array("a", 1, 5, "abcde"),
               raw_array("f", 7, 3, std::string("\0\1\1", 3)),
               raw_array("tokenizer.ggml.tokens", 8, 3, raw_string("one") + raw_string("") + raw_string("three")),
               raw_array("tokenizer.ggml.scores", 6, 3, std::string(12, '\0'))};
  file.tensors = {{.name = "token_embd.weight", .dims = {8, 3}}, {.name = "blk.0.attn_q.weight", .dims = {32}, .type = 8, .offset = 96}};
  file.data = std::string(96 + 64, 'D');
  return file.bytes();
}

TEST(ReaderFuzz, Gguf) {
  const std::string valid = rich_gguf();
  ASSERT_TRUE(Gguf::parse(memory_source(to_bytes(valid))));
  uint64_t accepted = 0;
  for (uint64_t seed = 0; seed < iterations(); ++seed) {
    CounterRandom random(seed, 1);
    const auto file = Gguf::parse(memory_source(to_bytes(mutate(valid, random))));
    if (!file) {
      expect_typed(file.error(), seed);
      continue;
    }
    ++accepted;
    for (const TensorInfo& tensor : file->tensors()) {
      EXPECT_TRUE(file->read(tensor)) << seed;
      EXPECT_EQ(file->view(tensor).size(), tensor.bytes) << seed;
    }
    for (const auto& entry : file->metadata().entries()) EXPECT_FALSE(to_text(entry.value).empty()) << seed;
    const Status meaning = check_model_semantics(file->metadata(), file->tensors());
    if (!meaning) expect_typed(meaning.error(), seed);
    // What was accepted can be laid out again, unless a name has the 64 bytes that only readers take.
    EXPECT_TRUE(gguf_layout(file->metadata(), file->tensors())) << seed;
  }
  EXPECT_GT(accepted, iterations() / 100) << "mutations that never pass test only the first check";
}

TEST(ReaderFuzz, Safetensors) {
  const std::string valid = raw_safetensors(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                            R"("b.weight":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]}})",
                                            "01234567abcd");
  ASSERT_TRUE(Safetensors::parse(memory_source(to_bytes(valid))));
  for (uint64_t seed = 0; seed < iterations(); ++seed) {
    CounterRandom random(seed, 2);
    const auto file = Safetensors::parse(memory_source(to_bytes(mutate(valid, random))));
    if (!file) {
      expect_typed(file.error(), seed);
      continue;
    }
    for (const SafetensorInfo& tensor : file->tensors()) {
      std::vector<std::byte> data(tensor.end - tensor.begin);
      EXPECT_TRUE(file->read(tensor, 0, data)) << seed;
      EXPECT_EQ(file->view(tensor).size(), data.size()) << seed;
    }
  }
}

TEST(ReaderFuzz, Imatrix) {
  Imatrix imatrix;
  imatrix.entries["blk.0.attn_q.weight"] = {3, {1, 2, 3}, {5}};
  imatrix.entries["blk.0.ffn_up_exps.weight"] = {2, {6, 8, 0, 0}, {2, 0}};
  imatrix.datasets = {"text"};
  const ScratchDirectory scratch;
  for (const ImatrixFormat format : {ImatrixFormat::kGguf, ImatrixFormat::kDat}) {
    ASSERT_TRUE(write_imatrix(scratch / "i", imatrix, format, {.force = true}));
    const std::string valid = get_file(scratch / "i");
    for (uint64_t seed = 0; seed < iterations() / 2; ++seed) {
      CounterRandom random(seed, 3 + static_cast<uint64_t>(format));
      const auto read = parse_imatrix(memory_source(to_bytes(mutate(valid, random))));
      if (!read) {
        expect_typed(read.error(), seed);
        continue;
      }
      for (const auto& [name, entry] : read->entries) EXPECT_EQ(read->importance(name).size(), entry.sums.size()) << seed;
    }
  }
}

}  // namespace
}  // namespace assay
