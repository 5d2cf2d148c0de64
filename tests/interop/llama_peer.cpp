// llama.cpp as a peer for interop tests: opens its shared libraries from a directory given at run time, calls the public C
// interface and prints one line of JSON. Chunks and scored positions are those of llama-perplexity (methods.md 1.2 A, 1.8).
// Non-goals: anything the command line offers. No llama.cpp headers are needed: the few structure
// fields that are touched are declared here by their offsets in the pinned release (scripts/peer.sh).
//
//   llama_peer DIR version
//   llama_peer DIR load MODEL
//   llama_peer DIR quantize IN OUT FTYPE [--imatrix FILE.dat] [--pure] [--leave-output-tensor] [--keep-split]
//                  [--output-tensor-type ID] [--token-embedding-type ID] [--tensor-type REGEX=ID]... [--prune-layers L,L]
//   llama_peer DIR tokenize MODEL TEXT [--parse-special] [--no-bos] [--vocab-only] [--cases]      (--cases: TEXT holds u32 size, bytes,
//   ...) llama_peer DIR perplexity MODEL TEXT [--ctx N] [--chunks N] [--write-base FILE] [--nll] llama_peer DIR kld MODEL BASE [--chunks N]
//   (quantize, perplexity and kld take --threads N too)
//   llama_peer DIR speed MODEL TEXT [--ctx N] [--chunks N] [--threads N] [--warm] [--all-logits]
// Exit: 0 done, 1 the library refused or failed (JSON holds "error"), 64 usage.
#include <dlfcn.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Json = nlohmann::json;
constexpr int kThreads = 2;

// Parameter structures by offset. They are returned and passed in memory, so a buffer larger than the real one is safe.
struct Params {
  alignas(16) unsigned char bytes[512];
  template <class T>
  void set(size_t offset, T value) {
    std::memcpy(bytes + offset, &value, sizeof value);
  }
};
namespace model_offset {  // llama_model_params
constexpr size_t kVocabularyOnly = 72;
}
namespace context_offset {  // llama_context_params
constexpr size_t kContext = 0, kBatch = 4, kMicroBatch = 8, kSequences = 12, kThreadCount = 28, kBatchThreadCount = 32, kUnified = 133;
}
namespace quantize_offset {  // llama_model_quantize_params
constexpr size_t kThreadCount = 0, kFileType = 4, kOutputType = 8, kEmbeddingType = 12, kQuantizeOutput = 17, kPure = 19, kKeepSplit = 20,
                 kImatrix = 24, kTensorTypes = 40, kPruneLayers = 48;
}
struct Batch {
  int32_t n_tokens;
  int32_t* token;
  float* embd;
  int32_t* pos;
  int32_t* n_seq_id;
  int32_t** seq_id;
  int8_t* logits;
};
struct ImatrixData {
  const char* name;
  const float* data;
  size_t size;
};
struct TensorTypeOverride {
  const char* pattern;
  int32_t type;
};

// Wall seconds and processor seconds of all threads since construction.
class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  double cpu_seconds() const { return used() - used_; }

 private:
  static double used() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto in_seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
    return in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
  }
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double used_ = used();
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The libraries, opened in order of dependency; symbols are looked up by name.
class Library {
 public:
  explicit Library(const std::string& directory) {
    for (const char* stem : {"libggml-base", "libggml", "libllama"}) open(directory, stem);
    call<void (*)()>("llama_backend_init")();
    call<void (*)(const char*)>("ggml_backend_load_all_from_path")(directory.c_str());
  }
  template <class Function>
  Function call(const char* name) const {
    void* symbol = dlsym(RTLD_DEFAULT, name);
    if (symbol == nullptr) throw Failure(std::string("the library has no ") + name);
    return reinterpret_cast<Function>(symbol);
  }

 private:
  static void open(const std::string& directory, const std::string& stem) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with(stem + ".") || name.find(".so") == std::string::npos) continue;
      if (dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) throw Failure(dlerror());
      return;
    }
    throw Failure("no " + stem + ".*so* in " + directory);
  }
};

// Options after the positional arguments: `--name value` or `--flag`; repeated names add up.
class Options {
 public:
  Options(std::vector<std::string> arguments, const std::vector<std::string>& flags) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      const std::string& name = arguments[i];
      if (!name.starts_with("--")) {
        positional_.push_back(name);
      } else if (std::find(flags.begin(), flags.end(), name) != flags.end()) {
        values_[name].push_back("");
      } else {
        if (i + 1 == arguments.size()) throw Usage(name + " needs a value");
        values_[name].push_back(arguments[++i]);
      }
    }
  }
  const std::string& positional(size_t i) const {
    if (i >= positional_.size()) throw Usage("an argument is missing");
    return positional_[i];
  }
  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& otherwise = "") const {
    return has(name) ? values_.at(name).back() : otherwise;
  }
  int number(const std::string& name, int otherwise) const { return has(name) ? std::stoi(text(name)) : otherwise; }
  std::vector<std::string> all(const std::string& name) const { return has(name) ? values_.at(name) : std::vector<std::string>(); }

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::vector<std::string>> values_;
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Failure("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Little-endian fields of a file held in memory.
class Cursor {
 public:
  explicit Cursor(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  T next() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  const char* take(size_t count) {
    if (count > bytes_.size() - at_) throw Failure("file ends early");
    at_ += count;
    return bytes_.data() + at_ - count;
  }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

// ---- quantize ----------------------------------------------------------------------------------------------------------------

struct ImportanceMatrix {
  std::vector<std::string> names;
  std::vector<std::vector<float>> values;
  std::vector<ImatrixData> entries;  // ends with a null entry, as the library expects
};

// Legacy format: count; per entry name, calls, values (sums: mean times calls).
ImportanceMatrix read_importance(const std::string& path) {
  const std::string bytes = read_file(path);
  Cursor cursor(bytes);
  ImportanceMatrix result;
  const int count = cursor.next<int32_t>();
  for (int i = 0; i < count; ++i) {
    const auto length = static_cast<size_t>(cursor.next<int32_t>());
    result.names.emplace_back(cursor.take(length), length);
    const int calls = cursor.next<int32_t>();
    std::vector<float> values(static_cast<size_t>(cursor.next<int32_t>()));
    std::memcpy(values.data(), cursor.take(values.size() * sizeof(float)), values.size() * sizeof(float));
    if (calls > 0)
      for (float& value : values) value /= static_cast<float>(calls);
    result.values.push_back(std::move(values));
  }
  for (int i = 0; i < count; ++i) {
    const auto k = static_cast<size_t>(i);
    result.entries.push_back({result.names[k].c_str(), result.values[k].data(), result.values[k].size()});
  }
  result.entries.push_back({nullptr, nullptr, 0});
  return result;
}

Json quantize(const Library& library, const Options& options) {
  Params params = library.call<Params (*)()>("llama_model_quantize_default_params")();
  params.set<int32_t>(quantize_offset::kThreadCount, options.number("--threads", kThreads));
  params.set<int32_t>(quantize_offset::kFileType, std::stoi(options.positional(2)));
  params.set<bool>(quantize_offset::kPure, options.has("--pure"));
  params.set<bool>(quantize_offset::kKeepSplit, options.has("--keep-split"));
  if (options.has("--leave-output-tensor")) params.set<bool>(quantize_offset::kQuantizeOutput, false);
  if (options.has("--output-tensor-type")) params.set<int32_t>(quantize_offset::kOutputType, options.number("--output-tensor-type", 0));
  if (options.has("--token-embedding-type"))
    params.set<int32_t>(quantize_offset::kEmbeddingType, options.number("--token-embedding-type", 0));

  std::optional<ImportanceMatrix> imatrix;
  if (options.has("--imatrix")) {
    imatrix = read_importance(options.text("--imatrix"));
    params.set<const void*>(quantize_offset::kImatrix, imatrix->entries.data());
  }
  std::vector<std::string> patterns;
  std::vector<TensorTypeOverride> overrides;
  for (const std::string& rule : options.all("--tensor-type")) patterns.push_back(rule.substr(0, rule.rfind('=')));
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::string rule = options.all("--tensor-type")[i];
    overrides.push_back({patterns[i].c_str(), std::stoi(rule.substr(rule.rfind('=') + 1))});
  }
  overrides.push_back({nullptr, 0});
  if (!patterns.empty()) params.set<const void*>(quantize_offset::kTensorTypes, overrides.data());
  std::vector<int32_t> pruned;
  if (options.has("--prune-layers")) {
    const std::string list = options.text("--prune-layers") + ",";
    for (size_t begin = 0, end; (end = list.find(',', begin)) != std::string::npos; begin = end + 1)
      pruned.push_back(std::stoi(list.substr(begin, end - begin)));
    pruned.push_back(-1);
    params.set<const void*>(quantize_offset::kPruneLayers, pruned.data());
  }
  const auto run = library.call<uint32_t (*)(const char*, const char*, const Params*)>("llama_model_quantize");
  const Clock clock;
  const uint32_t status = run(options.positional(0).c_str(), options.positional(1).c_str(), &params);
  if (status != 0) throw Failure("llama_model_quantize returned " + std::to_string(status));
  return {{"seconds", clock.seconds()}, {"cpu_seconds", clock.cpu_seconds()}};
}

// ---- models ------------------------------------------------------------------------------------------------------------------

class Model {
 public:
  Model(const Library& library, const std::string& path, bool vocabulary_only = false) : library_(library) {
    Params params = library.call<Params (*)()>("llama_model_default_params")();
    if (vocabulary_only) params.set(model_offset::kVocabularyOnly, true);
    model_ = library.call<void* (*)(const char*, Params)>("llama_model_load_from_file")(path.c_str(), params);
    if (model_ == nullptr) throw Failure("the library cannot load " + path);
    vocabulary_ = library.call<const void* (*)(const void*)>("llama_model_get_vocab")(model_);
  }
  int vocabulary_size() const { return library_.call<int32_t (*)(const void*)>("llama_vocab_n_tokens")(vocabulary_); }
  bool adds_bos() const { return library_.call<bool (*)(const void*)>("llama_vocab_get_add_bos")(vocabulary_); }
  int bos() const { return library_.call<int32_t (*)(const void*)>("llama_vocab_bos")(vocabulary_); }
  std::vector<int32_t> tokenize(const std::string& text, bool add_special, bool parse_special) const {
    using Tokenize = int32_t (*)(const void*, const char*, int32_t, int32_t*, int32_t, bool, bool);
    const auto run = library_.call<Tokenize>("llama_tokenize");
    std::vector<int32_t> tokens(text.size() + 16);
    const int count = run(vocabulary_, text.data(), static_cast<int32_t>(text.size()), tokens.data(), static_cast<int32_t>(tokens.size()),
                          add_special, parse_special);
    if (count < 0) throw Failure("llama_tokenize returned " + std::to_string(count));
    tokens.resize(static_cast<size_t>(count));
    return tokens;
  }
  // Starts a context for `sequences` times `each` tokens, decoded together.
  void start(int each, int sequences = 1, int threads = kThreads) {
    const int length = each * sequences;
    Params params = library_.call<Params (*)()>("llama_context_default_params")();
    params.set<uint32_t>(context_offset::kContext, static_cast<uint32_t>(length));
    params.set<uint32_t>(context_offset::kBatch, static_cast<uint32_t>(length));
    if (sequences > 1) {
      params.set<uint32_t>(context_offset::kSequences, static_cast<uint32_t>(sequences));
      params.set<bool>(context_offset::kUnified, true);
    }
    params.set<uint32_t>(context_offset::kMicroBatch, static_cast<uint32_t>(std::min(length, 512)));
    params.set<int32_t>(context_offset::kThreadCount, threads);
    params.set<int32_t>(context_offset::kBatchThreadCount, threads);
    context_ = library_.call<void* (*)(void*, Params)>("llama_init_from_model")(model_, params);
    if (context_ == nullptr) throw Failure("the library cannot start a context");
    batch_ = library_.call<Batch (*)(int32_t, int32_t, int32_t)>("llama_batch_init")(length, 0, 1);
  }
  // Logits [length - first, vocabulary] of one chunk from position `first` on; its first token is replaced by BOS where the vocabulary
  // adds one.
  const float* logits(const int32_t* tokens, int length, int first) {
    library_.call<void (*)(void*, bool)>("llama_memory_clear")(library_.call<void* (*)(const void*)>("llama_get_memory")(context_), true);
    batch_.n_tokens = length;
    for (int i = 0; i < length; ++i) {
      batch_.token[i] = i == 0 && adds_bos() ? bos() : tokens[i];
      batch_.pos[i] = i;
      batch_.n_seq_id[i] = 1;
      batch_.seq_id[i][0] = 0;
      batch_.logits[i] = i >= first ? 1 : 0;
    }
    if (library_.call<int32_t (*)(void*, Batch)>("llama_decode")(context_, batch_) != 0) throw Failure("llama_decode failed");
    return library_.call<float* (*)(void*)>("llama_get_logits")(context_);
  }
  // Decodes `sequences` chunks of `each` tokens at once, with logits from `first_logits` on, and waits for the end.
  void decode(const int32_t* tokens, int each, int sequences, int first_logits) {
    library_.call<void (*)(void*, bool)>("llama_memory_clear")(library_.call<void* (*)(const void*)>("llama_get_memory")(context_), true);
    batch_.n_tokens = each * sequences;
    for (int i = 0; i < batch_.n_tokens; ++i) {
      batch_.token[i] = i % each == 0 && adds_bos() ? bos() : tokens[i];
      batch_.pos[i] = i % each;
      batch_.n_seq_id[i] = 1;
      batch_.seq_id[i][0] = i / each;
      batch_.logits[i] = i % each >= first_logits ? 1 : 0;
    }
    if (library_.call<int32_t (*)(void*, Batch)>("llama_decode")(context_, batch_) != 0) throw Failure("llama_decode failed");
    library_.call<void (*)(void*)>("llama_synchronize")(context_);
  }

 private:
  const Library& library_;
  void* model_ = nullptr;
  const void* vocabulary_ = nullptr;
  void* context_ = nullptr;
  Batch batch_{};
};

// Highest logit and log of the sum of exp(z - highest) of one row.
struct RowNorm {
  float highest;
  double log_sum;
};
RowNorm norm_of(const float* row, int vocabulary) {
  const float highest = *std::max_element(row, row + vocabulary);
  double sum = 0;
  for (int v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(row[v] - highest));
  return {highest, std::log(sum)};
}

// One row of the base file: scale, lowest log-probability, 16-bit codes (methods.md 1.8).
void append_base_row(std::vector<uint16_t>& out, const float* row, int vocabulary) {
  const auto [highest, log_sum] = norm_of(row, vocabulary);
  const float lowest = std::max(*std::min_element(row, row + vocabulary), highest - 16);
  const auto lowest_log_probability = static_cast<float>(static_cast<double>(lowest - highest) - log_sum);
  const float scale = (highest - lowest) / 65535.0F;
  const size_t begin = out.size();
  out.resize(begin + 2 * static_cast<size_t>((vocabulary + 1) / 2) + 4);
  std::memcpy(&out[begin], &scale, sizeof scale);
  std::memcpy(&out[begin + 2], &lowest_log_probability, sizeof lowest_log_probability);
  for (int v = 0; v < vocabulary && scale > 0; ++v)
    out[begin + 4 + static_cast<size_t>(v)] =
        row[v] > lowest ? static_cast<uint16_t>(std::nearbyint((row[v] - lowest) / scale)) : uint16_t{0};
}

Json perplexity(const Library& library, const Options& options) {
  Model model(library, options.positional(0));
  const std::vector<int32_t> tokens = model.tokenize(read_file(options.positional(1)), true, false);
  const int context = options.number("--ctx", 512);
  const int vocabulary = model.vocabulary_size();
  const int available = static_cast<int>(tokens.size()) / context;
  const int chunks = std::min(options.number("--chunks", available), available);
  if (chunks < 1) throw Failure("the text has " + std::to_string(tokens.size()) + " tokens, fewer than one chunk");
  std::ofstream base;
  if (options.has("--write-base")) {
    base.open(options.text("--write-base"), std::ios::binary);
    const int32_t head[3] = {context, vocabulary, chunks};
    base.write("_logits_", 8).write(reinterpret_cast<const char*>(head), sizeof head);
    base.write(reinterpret_cast<const char*>(tokens.data()), static_cast<std::streamsize>(sizeof(int32_t)) * chunks * context);
  }
  model.start(context, 1, options.number("--threads", kThreads));
  std::vector<double> losses;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int32_t* chunk_tokens = tokens.data() + static_cast<ptrdiff_t>(chunk) * context;
    const int first = context / 2;
    const float* logits = model.logits(chunk_tokens, context, first);
    std::vector<uint16_t> rows;
    for (int t = first; t + 1 < context; ++t) {
      const float* row = logits + static_cast<ptrdiff_t>(t - first) * vocabulary;
      const auto [highest, log_sum] = norm_of(row, vocabulary);
      losses.push_back(log_sum + static_cast<double>(highest - row[chunk_tokens[t + 1]]));
      if (base.is_open()) append_base_row(rows, row, vocabulary);
    }
    if (base.is_open()) base.write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size() * 2));
  }
  double sum = 0;
  for (const double loss : losses) sum += loss;
  const double mean = sum / static_cast<double>(losses.size());
  Json result = {{"tokens", tokens.size()}, {"chunks", chunks}, {"scored", losses.size()}, {"nll", mean}, {"ppl", std::exp(mean)}};
  if (options.has("--nll")) result["losses"] = losses;
  return result;
}

// Seconds to load and to decode in the batches of llama-perplexity: 2,048 tokens, logits at scored positions; --all-logits: at all, as in
// its KL evaluation. --warm: one chunk is decoded before the clock starts.
Json speed(const Library& library, const Options& options) {
  const Clock load;
  Model model(library, options.positional(0));
  const double load_seconds = load.seconds(), load_cpu_seconds = load.cpu_seconds();
  const std::vector<int32_t> tokens = model.tokenize(read_file(options.positional(1)), true, false);
  const int context = options.number("--ctx", 512);
  const int available = static_cast<int>(tokens.size()) / context;
  const int chunks = std::min(options.number("--chunks", available), available);
  if (chunks < 1) throw Failure("the text has " + std::to_string(tokens.size()) + " tokens, fewer than one chunk");
  const int sequences = std::clamp(2048 / context, 1, chunks), first_logits = options.has("--all-logits") ? 0 : context / 2;
  model.start(context, sequences, options.number("--threads", kThreads));
  if (options.has("--warm")) model.decode(tokens.data(), context, 1, first_logits);
  const Clock decode;
  for (int chunk = 0; chunk < chunks; chunk += sequences)
    model.decode(tokens.data() + static_cast<ptrdiff_t>(chunk) * context, context, std::min(sequences, chunks - chunk), first_logits);
  return {{"load_seconds", load_seconds},
          {"load_cpu_seconds", load_cpu_seconds},
          {"decode_seconds", decode.seconds()},
          {"decode_cpu_seconds", decode.cpu_seconds()},
          {"tokens", chunks * context}};
}

Json divergence(const Library& library, const Options& options) {
  Model model(library, options.positional(0));
  const std::string bytes = read_file(options.positional(1));
  Cursor cursor(bytes);
  if (std::memcmp(cursor.take(8), "_logits_", 8) != 0) throw Failure("not a base-logits file");
  const int context = cursor.next<int32_t>();
  const int vocabulary = cursor.next<int32_t>();
  const int stored = cursor.next<int32_t>();
  if (vocabulary != model.vocabulary_size()) throw Failure("the base has another vocabulary size");
  std::vector<int32_t> tokens(static_cast<size_t>(stored) * static_cast<size_t>(context));
  std::memcpy(tokens.data(), cursor.take(tokens.size() * 4), tokens.size() * 4);
  const int chunks = std::min(options.number("--chunks", stored), stored);
  const size_t row_words = 2 * static_cast<size_t>((vocabulary + 1) / 2) + 4;
  const int threads = options.number("--threads", kThreads);
  model.start(context, 1, threads);
  struct Position {
    double divergence, probability_change, loss, base_loss;
    bool same_top;
  };
  // One scored position against its stored row.
  const auto compare = [&](const float* row, const char* stored_row, int32_t label_token) {
    float scale, lowest;
    std::memcpy(&scale, stored_row, 4);
    std::memcpy(&lowest, stored_row + 4, 4);
    const auto [highest, log_sum] = norm_of(row, vocabulary);
    double divergence = 0, base_label = 0;
    int base_top = 0;
    uint16_t base_top_code = 0;
    for (int v = 0; v < vocabulary; ++v) {
      uint16_t code;
      std::memcpy(&code, stored_row + 8 + 2 * v, 2);
      const double base_log = static_cast<double>(scale * static_cast<float>(code) + lowest);
      if (base_log > -16) divergence += std::exp(base_log) * (base_log - (static_cast<double>(row[v] - highest) - log_sum));
      if (v == 0 || code > base_top_code) base_top = v, base_top_code = code;
      if (v == label_token) base_label = base_log;
    }
    const double label = static_cast<double>(row[label_token] - highest) - log_sum;
    return Position{divergence, std::exp(label) - std::exp(base_label), -label, -base_label,
                    std::max_element(row, row + vocabulary) - row == base_top};
  };
  std::vector<Position> positions;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int32_t* chunk_tokens = tokens.data() + static_cast<ptrdiff_t>(chunk) * context;
    const int first = context / 2, scored = context - 1 - first;
    const float* logits = model.logits(chunk_tokens, context, first);
    const char* rows = cursor.take(row_words * 2 * static_cast<size_t>(scored));
    const size_t begin = positions.size();
    positions.resize(begin + static_cast<size_t>(scored));
    std::vector<std::thread> workers;  // as llama.cpp spreads them
    for (int worker = 0; worker < threads; ++worker)
      workers.emplace_back([&, worker] {
        for (int i = worker; i < scored; i += threads)
          positions[begin + static_cast<size_t>(i)] = compare(logits + static_cast<ptrdiff_t>(i) * vocabulary,
                                                              rows + row_words * 2 * static_cast<size_t>(i), chunk_tokens[first + i + 1]);
      });
    for (std::thread& worker : workers) worker.join();
  }
  std::vector<double> divergences, probability_changes;
  double loss_sum = 0, base_loss_sum = 0;
  size_t same_top = 0;
  for (const Position& position : positions) {
    divergences.push_back(position.divergence);
    probability_changes.push_back(position.probability_change);
    loss_sum += position.loss;
    base_loss_sum += position.base_loss;
    same_top += position.same_top;
  }
  const auto count = static_cast<double>(divergences.size());
  double mean = 0, change = 0, square = 0;
  for (const double value : divergences) mean += value / count;
  for (const double value : probability_changes) change += value / count, square += value * value / count;
  std::sort(divergences.begin(), divergences.end());
  const auto percentile = [&](double fraction) {
    const double at = fraction * (count - 1);
    const auto below = static_cast<size_t>(at);
    const size_t above = std::min(below + 1, divergences.size() - 1);
    return divergences[below] + (at - static_cast<double>(below)) * (divergences[above] - divergences[below]);
  };
  return {{"chunks", chunks},
          {"scored", divergences.size()},
          {"mean_kld", mean},
          {"max_kld", divergences.back()},
          {"kld_99", percentile(0.99)},
          {"median_kld", percentile(0.5)},
          {"same_top", static_cast<double>(same_top) / count},
          {"mean_dp", change},
          {"rms_dp", std::sqrt(square)},
          {"ppl", std::exp(loss_sum / count)},
          {"base_ppl", std::exp(base_loss_sum / count)}};
}

Json run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) throw Usage("llama_peer DIR version|load|quantize|tokenize|perplexity|kld|speed ...");
  const Options options({arguments.begin() + 2, arguments.end()},
                        {"--pure", "--leave-output-tensor", "--keep-split", "--parse-special", "--no-bos", "--vocab-only", "--cases",
                         "--nll", "--warm", "--all-logits"});
  const std::string& mode = arguments[1];
  const Library library(arguments[0]);
  if (mode == "version") return {{"version", library.call<const char* (*)()>("llama_version")()}};
  if (mode == "load") return {{"vocabulary", Model(library, options.positional(0)).vocabulary_size()}};
  if (mode == "quantize") return quantize(library, options);
  if (mode == "perplexity") return perplexity(library, options);
  if (mode == "speed") return speed(library, options);
  if (mode == "kld") return divergence(library, options);
  if (mode == "tokenize") {
    const Model model(library, options.positional(0), options.has("--vocab-only"));
    const std::string text = read_file(options.positional(1));
    const auto ids = [&](const std::string& piece) {
      return model.tokenize(piece, !options.has("--no-bos"), options.has("--parse-special"));
    };
    if (!options.has("--cases")) return {{"ids", ids(text)}};
    Json all = Json::array();
    for (size_t at = 0; at + 4 <= text.size();) {
      uint32_t size = 0;
      std::memcpy(&size, text.data() + at, sizeof size);
      all.push_back(ids(text.substr(at + 4, size)));
      at += 4 + size_t{size};
    }
    return {{"ids", std::move(all)}};
  }
  throw Usage("unknown mode " + mode);
}

}  // namespace

int main(int argc, char** argv) {
  int status = 0;
  Json result;
  try {
    result = run({argv + 1, argv + argc});
  } catch (const Usage& error) {
    result = {{"error", error.what()}};
    status = 64;
  } catch (const std::exception& error) {
    result = {{"error", error.what()}};
    status = 1;
  }
  std::printf("%s\n", result.dump().c_str());
  return status;
}
