// Level sizes of every weight (quant/code_move.h), one thread: million weights per second and type, beside decoding the same bytes.
// usage: move_bench [weights]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/quant/code_move.h"
#include "assay/quant/codec.h"

namespace {

using namespace assay;

constexpr uint64_t kRow = 4096;
constexpr int kRepeats = 9;

template <class F>
double least_seconds(const F& body) {
  double least = 1e9;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return least;
}

}  // namespace

int main(int count, char** arguments) {
  const uint64_t n = (count > 1 ? std::stoull(arguments[1]) : uint64_t{1} << 20) / kRow * kRow;
  CounterRandom random(1, 1);
  std::vector<float> values(n), decoded(n), up(n), down(n);
  for (float& value : values) value = static_cast<float>(0.02 * random.next_normal());
  fmt::print("one thread, {} weights, rows of {}, least of {}; million weights per second\n", n, kRow, kRepeats);
  fmt::print("{:<8} {:>8} {:>8}\n", "type", "steps", "decode");
  for (const Codec& codec : all_codecs()) {
    const GgmlType type = codec.info->type;
    if (code_move_kind(type) == CodeMoveKind::kNone) continue;
    std::vector<std::byte> bytes(n / codec.info->block_size * codec.info->block_bytes);
    if (codec.encode != nullptr) {
      if (!encode(type, values, kRow, bytes)) return 70;
    } else {
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_below(120));
    }
    const uint64_t row_bytes = bytes.size() / (n / kRow);
    const double steps = least_seconds([&] {
      for (uint64_t r = 0; r < n / kRow; ++r)
        (void)code_steps(type, std::span(bytes).subspan(r * row_bytes, row_bytes), std::span(up).subspan(r * kRow, kRow),
                         std::span(down).subspan(r * kRow, kRow));
    });
    const double decoding = least_seconds([&] { (void)decode(type, bytes, kRow, decoded); });
    fmt::print("{:<8} {:>8.0f} {:>8.0f}\n", codec.info->name, static_cast<double>(n) / steps / 1e6,
               static_cast<double>(n) / decoding / 1e6);
  }
  return 0;
}
