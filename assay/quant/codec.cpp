#include "assay/quant/codec.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "assay/base/checked.h"
#include "assay/base/lanes.h"
#include "assay/base/parallel.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/quant/families.h"

namespace assay {
namespace {

constexpr uint64_t kWeightsPerTask = 1 << 16;
// No block scale (fp16) reaches this far; larger weights are encoded as this, so that squares stay finite.
constexpr float kLargestWeight = 1e15f;
constexpr float kLargestFloat = std::numeric_limits<float>::max();
constexpr int32_t kInfinityBits = 0x7F800000;

Status check_sizes(const Codec& codec, uint64_t values, uint64_t bytes, uint64_t row_length) {
  const GgmlTypeInfo& info = *codec.info;
  const auto row_bytes = (CheckedSize(row_length).divide_exact(info.block_size) * info.block_bytes).value();
  if (row_length == 0 || !row_bytes || values % row_length != 0 || values / row_length * *row_bytes != bytes) {
    return fail(ErrorCode::kInternal, {"codec: " + std::string(info.name),
                                       "got " + group_digits(values) + " values in rows of " + group_digits(row_length) + " and " +
                                           group_digits(bytes) + " bytes",
                                       "", "sizes do not belong together"});
  }
  return {};
}

// Runs body(first_row, last_row) over all rows in tasks of about kWeightsPerTask weights.
void for_rows(uint64_t rows, uint64_t row_length, int threads, const std::function<void(uint64_t, uint64_t)>& body) {
  const uint64_t step = std::max<uint64_t>(1, kWeightsPerTask / row_length);
  parallel_for((rows + step - 1) / step, threads, [&](size_t task) { body(task * step, std::min(rows, (task + 1) * step)); });
}

// Bits of the largest magnitude: they are in the order of the magnitudes, infinity and NaN above all.
ASSAY_CLONES int32_t largest_magnitude(const float* values, uint64_t n) {
  int32_t most = 0;
  for (uint64_t i = 0; i < n; ++i) most = std::max(most, std::bit_cast<int32_t>(values[i]) & 0x7FFFFFFF);
  return most;
}

// True if every entry is finite and at least 0.
ASSAY_CLONES bool is_sound(std::span<const float> importance) {
  int broken = 0;
  for (const float x : importance) broken |= !(x >= 0) | !(x <= kLargestFloat);
  return broken == 0;
}

// Times the power of two that brings the largest entry to [1, 2): the same optimum, and sums that neither overflow nor vanish.
void copy_normalized(std::span<const float> importance, std::span<float> out) {
  const float largest = importance.empty() ? 0.0f : std::ranges::max(importance);
  const float factor = largest > 0 ? std::ldexp(1.0f, std::min(-std::ilogb(largest), 126)) : 1.0f;
  for (size_t i = 0; i < importance.size(); ++i) out[i] = importance[i] * factor;
}

}  // namespace

std::span<const Codec> all_codecs() {
  static const std::vector<Codec> all = [] {
    std::vector<Codec> list;
    for (const auto family : {plain_codecs(), legacy_codecs(), kquant_codecs(), iq_codecs(), ternary_codecs(), fp4_codecs()})
      list.insert(list.end(), family.begin(), family.end());
    return list;
  }();
  return all;
}

const Codec* find_codec(GgmlType type) {
  for (const Codec& codec : all_codecs())
    if (codec.info->type == type) return &codec;
  return nullptr;
}

bool row_fits(GgmlType type, uint64_t row_length) {
  const GgmlTypeInfo* info = find_type(type);
  return info != nullptr && row_length > 0 && row_length % info->block_size == 0;
}

Status decode(GgmlType type, std::span<const std::byte> bytes, uint64_t row_length, std::span<float> out, int threads) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr || codec->decode == nullptr) {
    return fail(ErrorCode::kUnsupported, {"codec: ggml type " + std::to_string(static_cast<uint32_t>(type)), "cannot be decoded", "", ""});
  }
  ASSAY_TRY(check_sizes(*codec, out.size(), bytes.size(), row_length));
  const uint64_t row_bytes = row_length / codec->info->block_size * codec->info->block_bytes;
  // Blocks never cross rows, so a range of rows is one long row.
  for_rows(out.size() / row_length, row_length, threads, [&](uint64_t first, uint64_t last) {
    codec->decode(bytes.data() + first * row_bytes, (last - first) * row_length, out.data() + first * row_length);
  });
  return {};
}

Status encode(GgmlType type, std::span<const float> values, uint64_t row_length, std::span<std::byte> out, const EncodeOptions& options) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr || codec->encode == nullptr) {
    return fail(ErrorCode::kUnsupported, {"codec: ggml type " + std::to_string(static_cast<uint32_t>(type)), "cannot be encoded", "", ""});
  }
  ASSAY_TRY(check_sizes(*codec, values.size(), out.size(), row_length));
  const uint64_t rows = values.size() / row_length;
  const uint64_t rows_per_matrix = options.rows_per_matrix ? options.rows_per_matrix : std::max<uint64_t>(1, rows);
  const uint64_t matrices = (rows + rows_per_matrix - 1) / rows_per_matrix;
  if (!options.importance.empty() && options.importance.size() != matrices * row_length) {
    return fail(ErrorCode::kMismatch, {"codec: importance", "has " + group_digits(options.importance.size()) + " entries",
                                       group_digits(matrices * row_length) + " are needed", "an imatrix of another model?"});
  }
  if (!is_sound(options.importance)) {
    const auto sound = [](float x) { return x >= 0 && x <= kLargestFloat; };
    const auto i = static_cast<uint64_t>(std::ranges::find_if_not(options.importance, sound) - options.importance.begin());
    return fail(ErrorCode::kBadInput, {"codec: importance " + group_digits(i), "is negative, NaN or infinite", "", "a broken imatrix"});
  }
  std::vector<float> weights(codec->convert ? 0 : options.importance.size());
  for (size_t at = 0; at < weights.size(); at += row_length) {
    copy_normalized(options.importance.subspan(at, row_length), std::span(weights).subspan(at, row_length));
  }
  std::atomic<uint64_t> broken{UINT64_MAX};
  const uint64_t row_bytes = row_length / codec->info->block_size * codec->info->block_bytes;
  for_rows(rows, row_length, options.threads, [&](uint64_t first, uint64_t last) {
    for (uint64_t r = first; r < last; ++r) {
      const float* row = values.data() + r * row_length;
      std::byte* to = out.data() + r * row_bytes;
      const int32_t largest = codec->convert ? 0 : largest_magnitude(row, row_length);
      if (codec->convert ? !codec->convert(row, row_length, to) : largest >= kInfinityBits) {
        const uint64_t at =
            r * row_length + static_cast<uint64_t>(std::find_if_not(row, row + row_length, [](float x) { return std::isfinite(x); }) - row);
        uint64_t seen = broken.load();
        while (at < seen && !broken.compare_exchange_weak(seen, at)) {
        }
        return;
      }
      if (codec->convert) continue;
      const float* importance = weights.empty() ? nullptr : weights.data() + r / rows_per_matrix * row_length;
      std::vector<float> clamped;
      if (largest > std::bit_cast<int32_t>(kLargestWeight)) {
        clamped.assign(row, row + row_length);
        for (float& x : clamped) x = std::clamp(x, -kLargestWeight, kLargestWeight);
        row = clamped.data();
      }
      codec->encode(row, importance, row_length, to);
    }
  });
  if (broken.load() == UINT64_MAX) return {};
  return fail(ErrorCode::kBadInput,
              {"codec: weight " + group_digits(broken.load()), "is NaN or infinite", "finite weights are needed", ""});
}

double weighted_error(std::span<const float> values, std::span<const float> decoded, uint64_t row_length,
                      std::span<const float> importance) {
  CompensatedSum total;
  for (size_t begin = 0; begin < values.size(); begin += row_length) {
    double row = 0;
    for (size_t j = 0; j < row_length; ++j) {
      const double difference = static_cast<double>(values[begin + j]) - static_cast<double>(decoded[begin + j]);
      row += (importance.empty() ? 1.0 : static_cast<double>(importance[j])) * difference * difference;
    }
    total.add(row);
  }
  return total.value();
}

}  // namespace assay
