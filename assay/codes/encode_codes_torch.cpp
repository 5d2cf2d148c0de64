#include <algorithm>
#include <numeric>

#include "assay/codes/encode_codes.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using codes::kColumns;
using codes::kRows;
using codes::Strip;

constexpr int kMostSweeps = 12;
constexpr double kSmallestFall = 2e-3;  // of the error: below this, a sweep was the last

// One block of columns of all rows at hand. Rows are padded to a multiple of kRows with rows of zeros.
struct Columns {
  at::Tensor x, e;                            // [rows, columns]
  at::Tensor code;                            // int8 [rows, columns]
  at::Tensor scale, minimum, unit, min_unit;  // [groups, rows]
};

class RowsAtHand {
 public:
  RowsAtHand(const ScaleLayout& layout, const Codec& codec, const SecondMoment& moment, const at::Tensor& weight,
             std::span<std::byte> bytes)
      : layout_(layout),
        codec_(codec),
        moment_(moment),
        count_(weight.size(0)),
        rows_((count_ + kRows - 1) / kRows * kRows),
        row_bytes_(static_cast<int64_t>(bytes.size()) / count_),
        bytes_(bytes),
        errors_(static_cast<size_t>(rows_)) {
    at::Tensor all = at::zeros({rows_, weight.size(1)});
    all.narrow(0, 0, count_).copy_(weight);
    columns_.resize(static_cast<size_t>(moment.blocks()));
    for (int64_t b = 0; b < moment.blocks(); ++b) {
      Columns& block = columns_[static_cast<size_t>(b)];
      block.x = all.narrow(1, b * kColumns, moment.columns(b)).contiguous();
      block.e = at::zeros_like(block.x);
      block.code = at::zeros_like(block.x, block.x.options().dtype(at::kChar));
      for (at::Tensor* table : {&block.scale, &block.minimum, &block.unit, &block.min_unit})
        *table = at::zeros({moment.columns(b) / layout.group, rows_});
    }
    read();
    for (int64_t b = 0; b < moment.blocks(); ++b)
      for_strips(b, [&](Strip& strip, int64_t) { codes::decode(layout_, static_cast<int>(moment_.columns(b)), strip); });
  }

  // Sum of e H e^T of the codes as they are.
  double measure() {
    start_errors();
    for (int64_t b = moment_.blocks() - 1; b >= 0; --b) {
      const at::Tensor carried = carry(b);
      for_strips(b, [&](Strip& strip, int64_t first) {
        load_directions(carried, first, strip);
        codes::feedback_error(moment_.own(b), strip);
        add_errors(first, strip);
      });
    }
    return total();
  }

  // Codes by feedback; rows that it does not improve keep theirs.
  double feed_back() {
    const std::vector<double> before = errors_;
    const std::vector<Columns> old = copies();
    start_errors();
    for (int64_t b = moment_.blocks() - 1; b >= 0; --b) {
      const at::Tensor carried = carry(b);
      for_strips(b, [&](Strip& strip, int64_t first) {
        load_directions(carried, first, strip);
        codes::feedback(layout_, moment_.own(b), strip);
        add_errors(first, strip);
      });
    }
    for (int64_t r = 0; r < rows_; ++r) {
      const auto row = static_cast<size_t>(r);
      if (errors_[row] < before[row]) continue;
      errors_[row] = before[row];
      for (size_t b = 0; b < columns_.size(); ++b) {
        columns_[b].e[r].copy_(old[b].e[r]);
        columns_[b].code[r].copy_(old[b].code[r]);
      }
    }
    return total();
  }

  // One sweep of descent over scales and codes. Returns the error after it.
  double descend() {
    for (int64_t b = 0; b < moment_.blocks(); ++b) {
      at::Tensor direction = at::zeros_like(columns_[static_cast<size_t>(b)].x);
      for (int64_t from = 0; from < moment_.blocks(); ++from)
        moment_.h(from, b).multiply_add(columns_[static_cast<size_t>(from)].e, direction);
      for_strips(b, [&](Strip& strip, int64_t first) {
        const codes::Moments own = moment_.own(b);
        load_directions(direction, first, strip);
        std::fill_n(strip.error, kRows, 0.0f);
        codes::descend_scales(layout_, own, strip);
        codes::descend_codes(layout_, own, strip);
        codes::decode(layout_, own.columns, strip);
        for (int lane = 0; lane < kRows; ++lane) errors_[static_cast<size_t>(first + lane)] -= static_cast<double>(strip.error[lane]);
      });
    }
    return total();
  }

  // Codes and scales to the rows' bytes.
  void write() const {
    for_formats([&](int64_t r, int64_t b, int64_t group, int64_t column, std::byte* block) {
      const Columns& columns = columns_[static_cast<size_t>(b)];
      BlockScales scales;
      for (int64_t g = 0; g < layout_.groups(); ++g) {
        const int64_t at = (group + g) * rows_ + r;
        scales.unit = columns.unit.const_data_ptr<float>()[at];
        scales.min_unit = columns.min_unit.const_data_ptr<float>()[at];
        scales.scale[static_cast<size_t>(g)] = columns.scale.const_data_ptr<float>()[at];
        scales.minimum[static_cast<size_t>(g)] = columns.minimum.const_data_ptr<float>()[at];
      }
      layout_.write(block, scales);
      const int8_t* code = columns.code.const_data_ptr<int8_t>() + r * columns.code.size(1) + column;
      for (uint32_t i = 0; i < layout_.block; ++i) codec_.codes->set(block, i, code[i]);
    });
  }

 private:
  // body(row, block of columns, first group and first column in it, bytes) for every block of the format.
  template <class Body>
  void for_formats(const Body& body) const {
    const int64_t width = layout_.block, block_bytes = codec_.info->block_bytes;
    at::parallel_for(0, count_, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t at = 0; at < moment_.width(); at += width) {
          const int64_t column = at % kColumns;
          body(r, at / kColumns, column / layout_.group, column, bytes_.data() + r * row_bytes_ + at / width * block_bytes);
        }
    });
  }

  void read() {
    for_formats([&](int64_t r, int64_t b, int64_t group, int64_t column, const std::byte* block) {
      Columns& columns = columns_[static_cast<size_t>(b)];
      BlockScales scales;
      layout_.read(block, scales);
      for (int64_t g = 0; g < layout_.groups(); ++g) {
        const int64_t at = (group + g) * rows_ + r;
        columns.unit.mutable_data_ptr<float>()[at] = scales.unit;
        columns.min_unit.mutable_data_ptr<float>()[at] = scales.min_unit;
        columns.scale.mutable_data_ptr<float>()[at] = scales.scale[static_cast<size_t>(g)];
        columns.minimum.mutable_data_ptr<float>()[at] = scales.minimum[static_cast<size_t>(g)];
      }
      int8_t* code = columns.code.mutable_data_ptr<int8_t>() + r * columns.code.size(1) + column;
      for (uint32_t i = 0; i < layout_.block; ++i) code[i] = static_cast<int8_t>(codec_.codes->get(block, i));
    });
  }

  // Loads each strip of a block, lets `body` change codes, scales and values, and stores them.
  template <class Body>
  void for_strips(int64_t b, const Body& body) {
    Columns& block = columns_[static_cast<size_t>(b)];
    at::parallel_for(0, rows_ / kRows, 1, [&](int64_t begin, int64_t end) {
      const auto strip = std::make_unique<Strip>();
      for (int64_t s = begin; s < end; ++s) {
        const int64_t first = s * kRows;
        load(block, first, *strip);
        body(*strip, first);
        store(*strip, first, block);
      }
    });
  }

  void load(const Columns& block, int64_t first, Strip& strip) const {
    const int64_t columns = block.x.size(1), groups = block.scale.size(0);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      const float* x = block.x.const_data_ptr<float>() + (first + lane) * columns;
      const float* e = block.e.const_data_ptr<float>() + (first + lane) * columns;
      const int8_t* code = block.code.const_data_ptr<int8_t>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) {
        strip.x[j][lane] = x[j];
        strip.v[j][lane] = x[j] - e[j];
        strip.code[j][lane] = code[j];
      }
    }
    const auto rows_of = [&](const at::Tensor& table, float(&to)[kMaxGroups][kRows]) {
      for (int64_t g = 0; g < groups; ++g) std::copy_n(table.const_data_ptr<float>() + g * rows_ + first, kRows, to[g]);
    };
    rows_of(block.scale, strip.scale);
    rows_of(block.minimum, strip.minimum);
    rows_of(block.unit, strip.unit);
    rows_of(block.min_unit, strip.min_unit);
  }

  void store(const Strip& strip, int64_t first, Columns& block) const {
    const int64_t columns = block.x.size(1), groups = block.scale.size(0);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      float* e = block.e.mutable_data_ptr<float>() + (first + lane) * columns;
      int8_t* code = block.code.mutable_data_ptr<int8_t>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) {
        e[j] = strip.x[j][lane] - strip.v[j][lane];
        code[j] = static_cast<int8_t>(strip.code[j][lane]);
      }
    }
    const auto rows_to = [&](const float(&from)[kMaxGroups][kRows], at::Tensor& table) {
      for (int64_t g = 0; g < groups; ++g) std::copy_n(from[g], kRows, table.mutable_data_ptr<float>() + g * rows_ + first);
    };
    rows_to(strip.scale, block.scale);
    rows_to(strip.minimum, block.minimum);
    rows_to(strip.unit, block.unit);
    rows_to(strip.min_unit, block.min_unit);
  }

  static void load_directions(const at::Tensor& from, int64_t first, Strip& strip) {
    const int64_t columns = from.size(1);
    for (int64_t lane = 0; lane < kRows; ++lane) {
      const float* g = from.const_data_ptr<float>() + (first + lane) * columns;
      for (int64_t j = 0; j < columns; ++j) strip.g[j][lane] = g[j];
    }
  }

  // What the columns behind block b carry over to it.
  at::Tensor carry(int64_t b) const {
    at::Tensor carried = at::zeros_like(columns_[static_cast<size_t>(b)].x);
    for (int64_t from = b + 1; from < moment_.blocks(); ++from)
      moment_.lower(from, b).multiply_add(columns_[static_cast<size_t>(from)].e, carried);
    return carried;
  }

  std::vector<Columns> copies() const {
    std::vector<Columns> all(columns_.size());
    for (size_t b = 0; b < all.size(); ++b) {
      all[b].e = columns_[b].e.clone();
      all[b].code = columns_[b].code.clone();
    }
    return all;
  }

  void start_errors() { std::fill(errors_.begin(), errors_.end(), 0.0); }
  void add_errors(int64_t first, const Strip& strip) {
    for (int lane = 0; lane < kRows; ++lane) errors_[static_cast<size_t>(first + lane)] += static_cast<double>(strip.error[lane]);
  }
  double total() const { return std::accumulate(errors_.begin(), errors_.begin() + count_, 0.0); }

  const ScaleLayout& layout_;
  const Codec& codec_;
  const SecondMoment& moment_;
  int64_t count_, rows_, row_bytes_;
  std::span<std::byte> bytes_;
  std::vector<Columns> columns_;
  std::vector<double> errors_;  // per row
};

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
  return find_scale_layout(type) != nullptr && codec != nullptr && codec->encode != nullptr && codec->codes != nullptr;
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
    RowsAtHand rows(*find_scale_layout(type), *find_codec(type), moment, weight.narrow(0, begin, count),
                    out.subspan(static_cast<size_t>(begin * row_bytes), static_cast<size_t>(count * row_bytes)));
    const CodesReport some = choose(rows, codes);
    sum.nearest += some.nearest * moment.scale();
    sum.feedback += some.feedback * moment.scale();
    sum.final += some.final * moment.scale();
    sum.sweeps = std::max(sum.sweeps, some.sweeps);
  }
  return sum;
}

}  // namespace assay
