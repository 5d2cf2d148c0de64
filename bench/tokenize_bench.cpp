// Tokenizing with one thread: ours against PyPI tokenizers in one run, then every pre-tokenizer, then runs of one character.
// usage: tokenize_bench PYTHON [TEXT]      (scripts/interop_env.sh tokenizers prints the python; default text: WikiText-2's test split
// where ../shared has it, else the demo's evaluation text)
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/text/pre_tokenizer.h"
#include "assay/text/tokenizer.h"

namespace {

using namespace assay;

const std::string kSource = ASSAY_SOURCE_DIR;
const std::string kVocabularies = kSource + "/../shared/data/tokenizers/";

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

double megabytes_per_second(const Tokenizer& tokenizer, const std::string& text) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (tokenizer.encode(text).empty()) return 0;
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return static_cast<double>(text.size()) / 1e6 / best;
}

// Seconds that the package needs; 0 if it could not be run.
double reference_seconds(const std::string& python, const std::string& kind, const std::string& path, const std::string& text_path) {
  const std::string command =
      "'" + python + "' '" + kSource + "/tests/interop/tokenizer_reference.py' --time '" + text_path + "' " + kind + " '" + path + "'";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return 0;
  double seconds = 0;
  const int read = std::fscanf(pipe, "%lf", &seconds);
  pclose(pipe);
  return read == 1 ? seconds : 0;
}

Result<Metadata> read_metadata(const std::string& path, uint64_t vocab_size) {
  if (path.ends_with(".gguf")) {
    ASSAY_ASSIGN(const auto file, Gguf::open(path));
    return file.metadata();
  }
  HfDirectory directory;
  directory.path = path;
  directory.tokenizer_json = slurp(path + "/tokenizer.json");
  directory.tokenizer_config_json = slurp(path + "/tokenizer_config.json");
  directory.vocab_json = slurp(path + "/vocab.json");
  directory.merges_txt = slurp(path + "/merges.txt");
  return tokenizer_metadata(directory, vocab_size);
}

struct Vocabulary {
  const char* name;
  std::string path;
  const char* kind;  // of tokenizer_reference.py; empty: no reference
  uint64_t size;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::puts("usage: tokenize_bench PYTHON [TEXT]"), 64;
  std::string text_path = count > 2 ? arguments[2] : kSource + "/../shared/data/text/wiki.test.raw";
  if (!std::filesystem::exists(text_path)) text_path = kSource + "/demo/evaluation.txt";
  const std::string text = slurp(text_path);
  const Vocabulary vocabularies[] = {{"demo", kSource + "/demo/reference-9m", "json", 8192},
                                     {"gpt2", kVocabularies + "gpt2", "gpt2", 50257},
                                     {"qwen2.5", kVocabularies + "qwen2.5", "qwen2", 151936},
                                     {"smollm2", kVocabularies + "smollm2", "json", 49152},
                                     {"llama2", kVocabularies + "llama2", "json", 32000},
                                     {"deepseek-coder", kVocabularies + "ggml-vocab/ggml-vocab-deepseek-coder.gguf", "", 0},
                                     {"phi-3", kVocabularies + "ggml-vocab/ggml-vocab-phi-3.gguf", "", 0}};
  fmt::print("one thread, {:.2f} MB: {}\n", static_cast<double>(text.size()) / 1e6, std::filesystem::path(text_path).filename().string());
  fmt::print("{:<16} {:<14} {:>8} {:>12} {:>8}\n", "vocabulary", "pre-tokenizer", "MB/s", "tokenizers", "ratio");
  const std::string run(1 << 20, 'a');
  Metadata widest;
  for (const Vocabulary& vocabulary : vocabularies) {
    if (!std::filesystem::exists(vocabulary.path)) continue;
    const auto metadata = read_metadata(vocabulary.path, vocabulary.size);
    if (!metadata) return std::fprintf(stderr, "%s\n", metadata.error().message.c_str()), 65;
    const auto tokenizer = Tokenizer::from_metadata(*metadata);
    if (!tokenizer) return std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str()), 65;
    if (tokenizer->model() == "gpt2" && (vocabulary.name == std::string("gpt2") || widest.entries().empty())) widest = *metadata;
    const double ours = megabytes_per_second(*tokenizer, text);
    const std::string source = vocabulary.kind == std::string("json") ? vocabulary.path + "/tokenizer.json" : vocabulary.path;
    const double seconds = *vocabulary.kind ? reference_seconds(arguments[1], vocabulary.kind, source, text_path) : 0;
    const double theirs = seconds > 0 ? static_cast<double>(text.size()) / 1e6 / seconds : 0;
    fmt::print("{:<16} {:<14} {:>8.1f} {:>12} {:>8}   a run of 2^20 'a': {:.1f} MB/s\n", vocabulary.name,
               std::string(tokenizer->model() == "llama" ? "SentencePiece" : tokenizer->pre_tokenizer()), ours,
               theirs > 0 ? fmt::format("{:.1f}", theirs) : "-", theirs > 0 ? fmt::format("{:.2f}", ours / theirs) : "-",
               megabytes_per_second(*tokenizer, run));
  }
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    widest.set("tokenizer.ggml.pre", MetaValue::string(std::string(spec.name)));
    const auto tokenizer = Tokenizer::from_metadata(widest);
    if (!tokenizer) return std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str()), 65;
    fmt::print("{:<16} {:<14} {:>8.1f}\n", "(gpt2's)", spec.name, megabytes_per_second(*tokenizer, text));
  }
  return 0;
}
