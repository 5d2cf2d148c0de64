#include <algorithm>
#include <numeric>

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
constexpr double kSmallestFall = 2e-3;  // of the error: below this, a sweep was the last

// One block of columns of all rows at hand. Rows are padded to a multiple of kRows with rows of zeros.
struct Columns {
  at::Tensor x, e;  // [rows, columns]
};

class RowsAtHand {
 public:
  RowsAtHand(std::unique_ptr<codes::RowCodes> codes, const SecondMoment& moment, const at::Tensor& weight)
      : codes_(std::move(codes)),
        moment_(moment),
        count_(weight.size(0)),
        rows_((count_ + kRows - 1) / kRows * kRows),
        errors_(static_cast<size_t>(rows_)) {
    at::Tensor all = at::zeros({rows_, weight.size(1)});
    all.narrow(0, 0, count_).copy_(weight);
    columns_.resize(static_cast<size_t>(moment.blocks()));
    for (int64_t b = 0; b < moment.blocks(); ++b) {
      Columns& block = columns_[static_cast<size_t>(b)];
      block.x = all.narrow(1, b * kColumns, moment.columns(b)).contiguous();
      block.e = at::zeros_like(block.x);
      for_strips(b, [&](Place place, Strip& strip) { codes_->read(place, strip); });
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
    std::vector<at::Tensor> old;
    for (const Columns& block : columns_) old.push_back(block.e.clone());
    codes_->keep();
    walk_back([&](Place place, const codes::Moments& moments, Strip& strip) { codes_->feedback(place, moments, strip); });
    for (int64_t r = 0; r < rows_; ++r) {
      const auto row = static_cast<size_t>(r);
      if (errors_[row] < before[row]) continue;
      errors_[row] = before[row];
      codes_->restore(r);
      for (size_t b = 0; b < columns_.size(); ++b) columns_[b].e[r].copy_(old[b][r]);
    }
    return total();
  }

  // One sweep of descent over scales and codes. Returns the error after it.
  double descend() {
    for (int64_t b = 0; b < moment_.blocks(); ++b) {
      at::Tensor direction = at::zeros_like(columns_[static_cast<size_t>(b)].x);
      for (int64_t from = 0; from < moment_.blocks(); ++from)
        moment_.h(from, b).multiply_add(columns_[static_cast<size_t>(from)].e, direction);
      for_strips(b, [&](Place place, Strip& strip) {
        load_directions(direction, place.first_row, strip);
        std::fill_n(strip.error, kRows, 0.0f);
        codes_->descend(place, moment_.own(b), strip);
        for (int lane = 0; lane < kRows; ++lane) error_of(place, lane) -= static_cast<double>(strip.error[lane]);
      });
    }
    return total();
  }

  // Codes and scales to the rows' bytes.
  void write() {
    for (int64_t b = 0; b < moment_.blocks(); ++b) for_strips(b, [&](Place place, Strip&) { codes_->write(place); });
  }

 private:
  // Loads each strip of a block, lets `body` change codes and values, and stores the values.
  template <class Body>
  void for_strips(int64_t b, const Body& body) {
    Columns& block = columns_[static_cast<size_t>(b)];
    at::parallel_for(0, rows_ / kRows, 1, [&](int64_t begin, int64_t end) {
      const auto strip = std::make_unique<Strip>();
      for (int64_t first = begin * kRows; first < end * kRows; first += kRows) {
        load(block, first, *strip);
        body(Place{b, first}, *strip);
        store(*strip, first, block);
      }
    });
  }

  // Blocks from the last to the first, with what the blocks behind carry over; `body` leaves a strip's error, which is added up.
  template <class Body>
  void walk_back(const Body& body) {
    std::fill(errors_.begin(), errors_.end(), 0.0);
    for (int64_t b = moment_.blocks() - 1; b >= 0; --b) {
      at::Tensor carried = at::zeros_like(columns_[static_cast<size_t>(b)].x);
      for (int64_t from = b + 1; from < moment_.blocks(); ++from)
        moment_.lower(from, b).multiply_add(columns_[static_cast<size_t>(from)].e, carried);
      for_strips(b, [&](Place place, Strip& strip) {
        load_directions(carried, place.first_row, strip);
        body(place, moment_.own(b), strip);
        for (int lane = 0; lane < kRows; ++lane) error_of(place, lane) += static_cast<double>(strip.error[lane]);
      });
    }
  }

  static void load(const Columns& block, int64_t first, Strip& strip) {
    const int64_t columns = block.x.size(1);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      const float* x = block.x.const_data_ptr<float>() + (first + lane) * columns;
      const float* e = block.e.const_data_ptr<float>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) {
        strip.x[j][lane] = x[j];
        strip.v[j][lane] = x[j] - e[j];
      }
    }
  }

  static void store(const Strip& strip, int64_t first, Columns& block) {
    const int64_t columns = block.x.size(1);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      float* e = block.e.mutable_data_ptr<float>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) e[j] = strip.x[j][lane] - strip.v[j][lane];
    }
  }

  static void load_directions(const at::Tensor& from, int64_t first, Strip& strip) {
    const int64_t columns = from.size(1);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      const float* g = from.const_data_ptr<float>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) strip.g[j][lane] = g[j];
    }
  }

  double& error_of(Place place, int lane) { return errors_[static_cast<size_t>(place.first_row + lane)]; }
  double total() const { return std::accumulate(errors_.begin(), errors_.begin() + count_, 0.0); }

  std::unique_ptr<codes::RowCodes> codes_;
  const SecondMoment& moment_;
  int64_t count_, rows_;
  std::vector<Columns> columns_;
  std::vector<double> errors_;  // per row
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
  CodesReport sum;
  const auto row_bytes = static_cast<int64_t>(out.size()) / weight.size(0);
  for (int64_t begin = 0; begin < weight.size(0); begin += rows_at_once) {
    const int64_t count = std::min(rows_at_once, weight.size(0) - begin);
    const std::span<std::byte> bytes = out.subspan(static_cast<size_t>(begin * row_bytes), static_cast<size_t>(count * row_bytes));
    RowsAtHand rows(codes_of({find_codec(type), bytes, count, moment.width()}), moment, weight.narrow(0, begin, count));
    const CodesReport some = choose(rows, codes);
    sum.nearest += some.nearest * moment.scale();
    sum.feedback += some.feedback * moment.scale();
    sum.final += some.final * moment.scale();
    sum.sweeps = std::max(sum.sweeps, some.sweeps);
  }
  return sum;
}

}  // namespace assay
