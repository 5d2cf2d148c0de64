// Our encoders against ggml's, in one run: weighted squared error and speed per type.
// usage: encode_bench LIBGGML_BASE.so [weights [TYPE]]      (scripts/peer.sh fetches the library)
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/file/safetensors.h"
#include "assay/quant/codec.h"
#include "assay/quant/half.h"

namespace {

using namespace assay;

struct Ggml {
  size_t (*quantize_chunk)(int, const float*, void*, int64_t, int64_t, int64_t, const float*) = nullptr;
  void (*quantize_init)(int) = nullptr;
  bool (*requires_imatrix)(int) = nullptr;
};

constexpr uint64_t kRow = 4096;

std::vector<float> gaussian(size_t n) {
  CounterRandom random(1, 1);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(0.02 * random.next_normal());
  return values;
}

// Student t with 3 degrees of freedom.
std::vector<float> heavy_tailed(size_t n) {
  CounterRandom random(1, 2);
  std::vector<float> values(n);
  for (float& v : values) {
    double chi = 0;
    for (int i = 0; i < 3; ++i) chi += std::pow(random.next_normal(), 2);
    v = static_cast<float>(0.02 * random.next_normal() / std::sqrt(chi / 3));
  }
  return values;
}

// The demo model's matrices, laid end to end.
std::vector<float> demo_weights(size_t n) {
  std::vector<float> values;
  auto directory = HfDirectory::open(std::string(ASSAY_SOURCE_DIR) + "/demo/reference-9m");
  if (!directory) return values;
  for (const SafetensorInfo& tensor : directory->tensors.tensors()) {
    if (tensor.shape.size() != 2 || values.size() >= n || tensor.name.find("layers") == std::string::npos) continue;
    std::vector<std::byte> bytes(tensor.end - tensor.begin);
    if (!directory->tensors.read(tensor, 0, bytes)) return {};
    for (size_t i = 0; i < bytes.size(); i += 2) values.push_back(bfloat16_to_float(load_u16(bytes.data() + i)));
  }
  values.resize(std::min(n, values.size()) / kRow * kRow);
  return values;
}

template <class F>
double seconds_of(const F& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Times {
  double ours = 1e9, theirs = 1e9;  // seconds, least of all rounds
};

// The two take turns, so that a change of the machine's clock or load meets both; short runs are repeated more often.
template <class F, class G>
Times race(const F& ours, const G& theirs) {
  constexpr int kLeastRounds = 5, kMostRounds = 100;
  constexpr double kEnough = 0.2;  // seconds
  Times best;
  double spent = 0;
  for (int round = 0; round < kMostRounds && (round < kLeastRounds || spent < kEnough); ++round) {
    const double first = seconds_of(ours), second = seconds_of(theirs);
    best = {std::min(best.ours, first), std::min(best.theirs, second)};
    spent += first + second;
  }
  return best;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::puts("usage: encode_bench LIBGGML_BASE.so [weights [TYPE]]"), 64;
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 74;
  Ggml ggml;
  ggml.quantize_chunk = reinterpret_cast<decltype(ggml.quantize_chunk)>(dlsym(library, "ggml_quantize_chunk"));
  ggml.quantize_init = reinterpret_cast<decltype(ggml.quantize_init)>(dlsym(library, "ggml_quantize_init"));
  ggml.requires_imatrix = reinterpret_cast<decltype(ggml.requires_imatrix)>(dlsym(library, "ggml_quantize_requires_imatrix"));
  if (ggml.quantize_chunk == nullptr || ggml.quantize_init == nullptr || ggml.requires_imatrix == nullptr)
    return std::fprintf(stderr, "no ggml library\n"), 74;
  const size_t n = count > 2 ? std::stoull(arguments[2]) : size_t{1} << 20;
  const std::string only = count > 3 ? arguments[3] : "";
  CounterRandom random(1, 3);
  std::vector<float> importance(kRow);
  for (float& a : importance) a = static_cast<float>(std::exp(1.5 * random.next_normal()));
  const struct {
    const char* name;
    std::vector<float> values;
  } inputs[] = {{"gaussian", gaussian(n)}, {"student-t3", heavy_tailed(n)}, {"demo", demo_weights(n)}};
  fmt::print("one thread; MB of float32 input per second; ratios are ours / ggml's: error at most 1, speed at least 1 are better\n");
  fmt::print("{:<8} {:<11} {:<8} {:>9} {:>9} {:>9} {:>7}\n", "type", "input", "weights", "error", "MB/s", "ggml MB/s", "speed");
  int cells = 0, larger_errors = 0, slower = 0;
  for (const Codec& codec : all_codecs()) {
    if (codec.encode == nullptr || codec.info->type == GgmlType::kF32) continue;  // F32 is a copy
    if (!only.empty() && only != codec.info->name) continue;
    for (const auto& input : inputs) {
      const size_t rows = input.values.size() / kRow;
      const size_t bytes = input.values.size() / codec.info->block_size * codec.info->block_bytes;
      if (rows == 0) continue;
      std::vector<std::byte> ours(bytes), theirs(bytes);
      std::vector<float> decoded(input.values.size());
      ggml.quantize_init(static_cast<int>(codec.info->type));
      for (const bool weighted : {false, true}) {
        if (!weighted && ggml.requires_imatrix(static_cast<int>(codec.info->type))) continue;  // ggml refuses
        EncodeOptions options;
        options.threads = 1;
        if (weighted) options.importance = importance;
        const Times times =
            race([&] { (void)encode(codec.info->type, input.values, kRow, ours, options); },
                 [&] {
                   ggml.quantize_chunk(static_cast<int>(codec.info->type), input.values.data(), theirs.data(), 0,
                                       static_cast<int64_t>(rows), static_cast<int64_t>(kRow), weighted ? importance.data() : nullptr);
                 });
        (void)decode(codec.info->type, ours, kRow, decoded);
        const double our_error = weighted_error(input.values, decoded, kRow, options.importance);
        (void)decode(codec.info->type, theirs, kRow, decoded);
        const double their_error = weighted_error(input.values, decoded, kRow, options.importance);
        const double megabytes = static_cast<double>(input.values.size()) * sizeof(float) / 1e6;
        const bool worse = our_error > their_error, late = times.ours > times.theirs;
        ++cells, larger_errors += worse, slower += late;
        // Equal errors are 1, two exact encodings included.
        fmt::print("{:<8} {:<11} {:<8} {:>9.4f} {:>9.1f} {:>9.1f} {:>7.2f}{}{}\n", codec.info->name, input.name,
                   weighted ? "imatrix" : "plain", our_error == their_error ? 1.0 : our_error / their_error, megabytes / times.ours,
                   megabytes / times.theirs, times.theirs / times.ours, worse ? "  <-- error" : "", late ? "  <-- speed" : "");
        std::fflush(stdout);
      }
    }
  }
  fmt::print("{} cells; ggml is better in {} by error, in {} by speed\n", cells, larger_errors, slower);
  return 0;
}
