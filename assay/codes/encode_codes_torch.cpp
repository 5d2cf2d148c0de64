#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "assay/base/parallel.h"
#include "assay/codes/encode_codes.h"
#include "assay/codes/row_codes.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using codes::kColumns;
using codes::kRows;
using codes::Place;
using codes::Strip;

constexpr int kMostSweeps = 12;
constexpr int64_t kWide = 2048;         // moments of more inputs come from memory: a tile is used for more rows
constexpr double kSmallestFall = 2e-3;  // of the error: below this, a sweep was the last

// The rows that one thread works on, as strips from their first stage to their last.
class RowsAtHand {
 public:
  RowsAtHand(codes::RowCodes& codes, const SecondMoment& moment, int64_t most_rows)
      : codes_(codes),
        moment_(moment),
        capacity_((most_rows + kRows - 1) / kRows),
        strips_(std::make_unique_for_overwrite<Strip[]>(static_cast<size_t>(capacity_ * moment.blocks()))) {}

  // Rows [first, first + count) of a matrix [rows, k], and their codes as they are in its bytes.
  void read(const float* weight, int64_t first, int64_t count) {
    first_ = first, count_ = count;
    errors_.assign(static_cast<size_t>((count + kRows - 1) / kRows * kRows), 0.0);
    for (int64_t b = 0; b < moment_.blocks(); ++b) {
      const int columns = moment_.columns(b);
      for_strips(b, [&](Place place, Strip& strip) {
        for (int64_t lane = 0; lane < kRows; ++lane) {
          const int64_t row = place.first_row + lane;
          const float* x = weight + row * moment_.width() + b * kColumns;
          if (row < first + count) {
            for (int j = 0; j < columns; ++j) strip.x[j][lane] = x[j];
          } else {
            for (int j = 0; j < columns; ++j) strip.x[j][lane] = 0;
          }
        }
        codes_.read(place, strip);
      });
    }
  }

  // Sum of e H e^T of the codes as they are.
  double measure() {
    walk_back([&](Place, const codes::Moments& moments, Strip& strip) { codes::feedback_error(moments, strip); });
    return total();
  }

  // Codes by feedback; rows that it does not improve keep theirs.
  double feed_back() {
    const std::vector<double> before = errors_;
    walk_back([&](Place place, const codes::Moments& moments, Strip& strip) { codes_.feedback(place, moments, strip); });
    for (int64_t row = 0; row < count_; ++row) {
      const auto i = static_cast<size_t>(row);
      if (errors_[i] < before[i]) continue;
      errors_[i] = before[i];
      const int64_t s = row / kRows;
      for (int64_t b = 0; b < moment_.blocks(); ++b) codes_.restore(place_of(b, s), static_cast<int>(row % kRows), strip(b, s));
    }
    return total();
  }

  // One sweep of descent over scales and codes. Returns the error after it.
  double descend() {
    for (int64_t b = 0; b < moment_.blocks(); ++b) {
      clear_directions(b);
      for (int64_t from = 0; from < moment_.blocks(); ++from) carry(moment_.h(from, b), from, b);
      for_strips(b, [&](Place place, Strip& strip) {
        std::fill_n(strip.error, kRows, 0.0f);
        codes_.descend(place, moment_.own(b), strip);
        for (int lane = 0; lane < kRows; ++lane) error_of(place, lane) -= static_cast<double>(strip.error[lane]);
      });
    }
    return total();
  }

  // Codes and scales to the rows' bytes.
  void write() {
    for (int64_t b = 0; b < moment_.blocks(); ++b) for_strips(b, [&](Place place, Strip& strip) { codes_.write(place, strip); });
  }

 private:
  Strip& strip(int64_t b, int64_t s) { return strips_[static_cast<size_t>(b * capacity_ + s)]; }
  Place place_of(int64_t b, int64_t s) const { return {b, first_ + s * kRows}; }

  template <class Body>
  void for_strips(int64_t b, const Body& body) {
    for (int64_t s = 0; s * kRows < count_; ++s) body(place_of(b, s), strip(b, s));
  }

  // Blocks from the last to the first, with what the blocks behind carry over; `body` leaves a strip's error, which is added up.
  template <class Body>
  void walk_back(const Body& body) {
    std::fill(errors_.begin(), errors_.end(), 0.0);
    for (int64_t b = moment_.blocks() - 1; b >= 0; --b) {
      clear_directions(b);
      for (int64_t from = b + 1; from < moment_.blocks(); ++from) carry(moment_.lower(from, b), from, b);
      for_strips(b, [&](Place place, Strip& strip) {
        body(place, moment_.own(b), strip);
        for (int lane = 0; lane < kRows; ++lane) error_of(place, lane) += static_cast<double>(strip.error[lane]);
      });
    }
  }

  void clear_directions(int64_t b) {
    for_strips(b, [&](Place, Strip& strip) { std::fill_n(&strip.g[0][0], moment_.columns(b) * kRows, 0.0f); });
  }
  // All strips of a block before the next tile: the tile stays in the cache.
  void carry(const float* tile, int64_t from, int64_t to) {
    for (int64_t s = 0; s * kRows < count_; ++s)
      codes::carry(tile, strip(from, s), moment_.columns(from), strip(to, s), moment_.columns(to));
  }

  double& error_of(Place place, int lane) { return errors_[static_cast<size_t>(place.first_row - first_ + lane)]; }
  double total() const { return std::accumulate(errors_.begin(), errors_.begin() + count_, 0.0); }

  codes::RowCodes& codes_;
  const SecondMoment& moment_;
  int64_t capacity_, first_ = 0, count_ = 0;  // in strips; rows
  std::unique_ptr<Strip[]> strips_;           // [block of columns][strip of rows]
  std::vector<double> errors_;                // per row
};

std::unique_ptr<codes::RowCodes> codes_of(const codes::RowBytes& rows) {
  return codes::has_grid_codes(*rows.codec) ? codes::make_grid_codes(rows) : codes::make_scalar_codes(rows);
}

CodesReport choose(RowsAtHand& rows, Codes codes) {
  CodesReport report;
  report.nearest = report.feedback = report.final = rows.measure();
  if (codes == Codes::kNearest) return report;
  report.feedback = report.final = rows.feed_back();
  if (codes == Codes::kBest) {
    for (double before = INFINITY; report.sweeps < kMostSweeps && report.final < before * (1 - kSmallestFall); ++report.sweeps) {
      before = report.final;
      report.final = rows.descend();
    }
  }
  rows.write();
  return report;
}

}  // namespace

bool can_choose_codes(GgmlType type) {
  const Codec* codec = find_codec(type);
  return codec != nullptr && codec->encode != nullptr && (codes::has_scalar_codes(*codec) || codes::has_grid_codes(*codec));
}

Result<CodesReport> encode_codes(GgmlType type, const at::Tensor& weight, const SecondMoment& moment, Codes codes, int threads,
                                 std::span<std::byte> out, int64_t rows_at_once) {
  at::NoGradGuard no_grad;
  const GgmlTypeInfo* info = find_type(type);
  const std::string name(info == nullptr ? "?" : info->name);
  if (!can_choose_codes(type)) return fail(ErrorCode::kUnsupported, {"codes: type " + name, "has no codes that can be chosen", "", ""});
  if (weight.size(1) != moment.width()) {
    return fail(ErrorCode::kMismatch, {"codes: second moments of " + std::to_string(moment.width()) + " inputs",
                                       "the matrix has " + std::to_string(weight.size(1)), "", "moments of another model or layer?"});
  }
  EncodeOptions options;
  options.threads = threads;
  options.importance = moment.importance();
  const auto width = static_cast<uint64_t>(weight.size(1));
  ASSAY_TRY(encode(type, {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())}, width, out, options));
  const std::unique_ptr<codes::RowCodes> row_codes = codes_of({find_codec(type), out, weight.size(0), moment.width()});
  if (rows_at_once == 0) rows_at_once = moment.width() > kWide ? 256 : 64;
  const int64_t parts = (weight.size(0) + rows_at_once - 1) / rows_at_once;
  std::vector<CodesReport> reports(static_cast<size_t>(parts));
  const int workers = static_cast<int>(std::min<int64_t>(parts, threads > 0 ? threads : available_threads()));
  std::atomic<int64_t> next{0};
  parallel_for(static_cast<size_t>(workers), workers, [&](size_t) {
    RowsAtHand rows(*row_codes, moment, std::min(rows_at_once, weight.size(0)));
    for (int64_t part = next++; part < parts; part = next++) {
      const int64_t first = part * rows_at_once;
      rows.read(weight.const_data_ptr<float>(), first, std::min(rows_at_once, weight.size(0) - first));
      reports[static_cast<size_t>(part)] = choose(rows, codes);
    }
  });
  CodesReport sum;
  for (int64_t part = 0; part < parts; ++part) {
    const CodesReport& some = reports[static_cast<size_t>(part)];
    sum.nearest += some.nearest * moment.scale();
    sum.feedback += some.feedback * moment.scale();
    sum.final += some.final * moment.scale();
    const int64_t count = std::min(rows_at_once, weight.size(0) - part * rows_at_once);
    sum.sweeps += some.sweeps * static_cast<double>(count) / static_cast<double>(weight.size(0));
  }
  return sum;
}

}  // namespace assay
