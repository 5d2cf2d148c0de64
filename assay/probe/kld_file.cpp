#include "assay/probe/kld_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "assay/base/checked.h"
#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/file/sequential_reader.h"

namespace assay {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr uint64_t kHeaderBytes = 8 + 3 * 4;
constexpr uint32_t kMinimumContext = 4;  // fewer leave no scored position
constexpr uint32_t kLimit = 1U << 24;    // of context and vocabulary: far above any model
constexpr float kSpan = 16;              // nats a row keeps below its top
constexpr float kSteps = 65535;
constexpr float kRounding = 1.001F;  // of scale times steps
constexpr float kCounted = -16;      // log-probabilities above this enter the KL
// Codes are rounded to half a step and the floor adds up to e^-16 per token; beyond that a row is no distribution.
constexpr double kMassSlack = 0.01;

Result<uint32_t> ranged(SequentialReader& reader, const char* field, int64_t low, int64_t high) {
  const uint64_t at = reader.offset();
  ASSAY_ASSIGN(const int32_t value, reader.number<int32_t>(field));
  if (value < low || value > high) {
    return reader.broken(ErrorCode::kBadInput, at, field, "is " + std::to_string(value),
                         std::to_string(low) + " to " + std::to_string(high) + " needed", "damaged file?");
  }
  return static_cast<uint32_t>(value);
}

// Bytes of a whole file.
CheckedSize file_bytes(uint32_t ctx, uint32_t vocab, uint32_t chunks) {
  const CheckedSize tokens = CheckedSize(chunks) * ctx * sizeof(int32_t);
  const CheckedSize rows = CheckedSize(chunks) * (ctx - 1 - ctx / 2);
  return CheckedSize(kHeaderBytes) + tokens + rows * (kld_row_words(vocab) * sizeof(uint16_t));
}

// Largest and second largest of a row, and where the largest is first.
struct Top {
  float first = -INFINITY, second = -INFINITY;
  int32_t index = 0;
};

Top top_of(std::span<const float> row) {
  Top top;
  for (size_t v = 0; v < row.size(); ++v) {
    if (row[v] > top.first) {
      top = {row[v], top.first, static_cast<int32_t>(v)};
    } else {
      top.second = std::max(top.second, row[v]);
    }
  }
  return top;
}

// Stored words of a row against the logits they were made from.
FormatFloor floor_of(std::span<const uint16_t> words, std::span<const float> logits) {
  float scale, lowest;
  std::memcpy(&scale, words.data(), sizeof scale);
  std::memcpy(&lowest, words.data() + 2, sizeof lowest);
  const double log_sum = log_softmax_nll(logits, 0) + static_cast<double>(logits[0]);
  FormatFloor floor;
  for (size_t v = 0; v < logits.size(); ++v) {
    const float stored = scale * static_cast<float>(words[4 + v]) + lowest;
    if (!(stored > kCounted)) continue;
    const auto log_p = static_cast<double>(stored);
    const double p = std::exp(log_p), d = log_p - (static_cast<double>(logits[v]) - log_sum);
    floor.kl += p * (d + std::expm1(-d));
    floor.plain += p * d;
  }
  return floor;
}

}  // namespace

PositionObservation compare_stored_row(std::span<const float> log_probabilities, std::span<const float> logits, int32_t label,
                                       double& mass) {
  const Top base = top_of(log_probabilities), top = top_of(logits);
  const auto y = static_cast<size_t>(label);
  const double nll = log_softmax_nll(logits, label), log_sum = nll + static_cast<double>(logits[y]);
  PositionObservation seen;
  mass = 0;
  for (size_t v = 0; v < logits.size(); ++v) {
    if (!(log_probabilities[v] > kCounted)) continue;
    const auto log_p = static_cast<double>(log_probabilities[v]);
    const double p = std::exp(log_p), d = log_p - (static_cast<double>(logits[v]) - log_sum);
    mass += p;
    seen.kl += p * (d + std::expm1(-d));
  }
  seen.nll = nll;
  seen.nll_base = -static_cast<double>(log_probabilities[y]);
  seen.nll_difference = seen.nll - seen.nll_base;
  seen.p = static_cast<float>(std::exp(-seen.nll));
  seen.p_base = static_cast<float>(std::exp(-seen.nll_base));
  seen.margin = top.first - top.second;
  seen.margin_base = base.first - base.second;
  seen.argmax = top.index;
  seen.flip = top.index != base.index;
  seen.finite = std::isfinite(seen.nll) && std::isfinite(seen.kl);
  return seen;
}

FormatFloor format_floor(std::span<const float> logits) {
  std::vector<uint16_t> words(kld_row_words(static_cast<uint32_t>(logits.size())));
  encode_kld_row(logits, words);
  return floor_of(words, logits);
}

void encode_kld_row(std::span<const float> logits, std::span<uint16_t> words) {
  const auto [low, high] = std::minmax_element(logits.begin(), logits.end());
  const float top = *high, floor = std::max(*low, top - kSpan);
  double mass = 0;
  for (const float logit : logits) mass += static_cast<double>(std::exp(logit - top));
  const auto lowest = static_cast<float>(static_cast<double>(floor - top) - std::log(mass));
  const float scale = (top - floor) / kSteps;
  std::memcpy(words.data(), &scale, sizeof scale);
  std::memcpy(words.data() + 2, &lowest, sizeof lowest);
  std::fill(words.begin() + 4, words.end(), uint16_t{0});
  if (scale <= 0) return;
  for (size_t v = 0; v < logits.size(); ++v)
    if (logits[v] > floor) words[4 + v] = static_cast<uint16_t>(std::min(std::nearbyint((logits[v] - floor) / scale), kSteps));
}

Result<KldReader> KldReader::open(std::shared_ptr<const ByteSource> source) {
  KldReader file;
  file.source_ = std::move(source);
  KldHeader& header = file.header_;
  SequentialReader reader(*file.source_, "base logits");
  ASSAY_ASSIGN(const std::string_view magic, reader.take(kMagic.size(), "magic"));
  if (magic != kMagic)
    return reader.broken(ErrorCode::kBadInput, 0, "magic", "is '" + printable(magic) + "'", "'_logits_' needed", "another kind of file?");
  ASSAY_ASSIGN(header.ctx, ranged(reader, "n_ctx", kMinimumContext, kLimit));
  ASSAY_ASSIGN(header.vocab, ranged(reader, "n_vocab", 2, kLimit));
  ASSAY_ASSIGN(header.chunks, ranged(reader, "n_chunk", 1, INT32_MAX));
  const CheckedSize needed = file_bytes(header.ctx, header.vocab, header.chunks);
  const uint64_t found = file.source_->size();
  if (needed.value_or(UINT64_MAX) != found) {
    return reader.broken(ErrorCode::kBadInput, found, "size", "is " + group_digits(found) + " bytes",
                         (needed.valid() ? group_digits(needed.value_or(0)) : "more than 2^64") + " bytes for " +
                             std::to_string(header.chunks) + " chunks of " + std::to_string(header.ctx) + " tokens and " +
                             std::to_string(header.vocab) + " logits needed",
                         needed.fits(found) ? "something was appended?" : "truncated?");
  }
  // The size was checked: no more tokens than the file has bytes for.
  header.tokens.resize(size_t{header.chunks} * header.ctx);
  ASSAY_TRY(file.source_->read(kHeaderBytes, std::as_writable_bytes(std::span(header.tokens))));
  for (size_t i = 0; i < header.tokens.size(); ++i) {
    const int32_t token = header.tokens[i];
    if (token < 0 || static_cast<uint32_t>(token) >= header.vocab) {
      return reader.broken(ErrorCode::kBadInput, kHeaderBytes + i * sizeof(int32_t), "token " + group_digits(i),
                           "is " + std::to_string(token), "0 to " + std::to_string(header.vocab - 1) + " needed", "damaged file?");
    }
  }
  return file;
}

uint64_t KldReader::row_offset(uint64_t row) const {
  return kHeaderBytes + header_.tokens.size() * sizeof(int32_t) + row * kld_row_words(header_.vocab) * sizeof(uint16_t);
}

tl::unexpected<Error> KldReader::broken_row(uint64_t row, std::string found, std::string needed) const {
  return fail(ErrorCode::kBadInput,
              {"base logits: " + source_->name() + ": chunk " + group_digits(row / header_.scored()) + ", position " +
                   group_digits(header_.score_begin() + row % header_.scored()) + " at byte " + group_digits(row_offset(row)),
               std::move(found), std::move(needed), "damaged file?"});
}

Status KldReader::read(uint64_t first, size_t count, std::span<float> log_probabilities) const {
  const size_t words = kld_row_words(header_.vocab);
  if (first > header_.rows() || count > header_.rows() - first)
    return fail(ErrorCode::kInternal, "base logits: rows beyond the last were asked for");
  std::vector<uint16_t> stored(count * words);
  ASSAY_TRY(source_->read(row_offset(first), std::as_writable_bytes(std::span(stored))));
  for (size_t r = 0; r < count; ++r) {
    const uint16_t* row = stored.data() + r * words;
    float scale, lowest;
    std::memcpy(&scale, row, sizeof scale);
    std::memcpy(&lowest, row + 2, sizeof lowest);
    if (!(scale >= 0 && scale <= kRounding * kSpan / kSteps))
      return broken_row(first + r, "has a scale of " + std::to_string(scale), "0 to 16 / 65535 is needed");
    // One of `vocab` probabilities cannot be below e^-16 of the top one, which is at least 1 / vocab.
    const float least = -kRounding * (kSpan + std::log(static_cast<float>(header_.vocab)));
    if (!(lowest <= 1e-3F && lowest >= least))
      return broken_row(first + r, "has a lowest log-probability of " + std::to_string(lowest), std::to_string(least) + " to 0 is needed");
    float* out = log_probabilities.data() + r * header_.vocab;
    for (uint32_t v = 0; v < header_.vocab; ++v) out[v] = scale * static_cast<float>(row[4 + v]) + lowest;
  }
  return {};
}

Status KldReader::compare(uint64_t first, const float* logits, std::span<PositionObservation> out) const {
  const size_t vocab = header_.vocab;
  std::vector<float> base(out.size() * vocab);
  std::vector<double> masses(out.size());
  ASSAY_TRY(read(first, out.size(), base));
  parallel_for(out.size(), 0, [&](size_t r) {
    out[r] = compare_stored_row({base.data() + r * vocab, vocab}, {logits + r * vocab, vocab}, header_.label(first + r), masses[r]);
  });
  for (size_t r = 0; r < out.size(); ++r) {
    if (!(std::abs(masses[r] - 1) <= kMassSlack + static_cast<double>(vocab) * std::exp(static_cast<double>(kCounted)))) {
      return broken_row(first + r, "has probabilities that sum to " + std::to_string(masses[r]), "1 is needed");
    }
    if (!out[r].finite) {
      return fail(ErrorCode::kBadInput, {"model: logits", "are NaN or infinite at scored position " + group_digits(first + r),
                                         "finite logits are needed", "broken weights?"});
    }
  }
  return {};
}

Result<KldWriter> KldWriter::create(const std::string& path, const KldHeader& header, OutputOptions options) {
  const bool sizes = header.ctx >= kMinimumContext && header.ctx <= kLimit && header.vocab >= 2 && header.vocab <= kLimit &&
                     header.chunks >= 1 && header.chunks <= INT32_MAX && header.tokens.size() == uint64_t{header.chunks} * header.ctx;
  const auto known = [&](int32_t token) { return token >= 0 && static_cast<uint32_t>(token) < header.vocab; };
  const CheckedSize bytes = sizes ? file_bytes(header.ctx, header.vocab, header.chunks) : CheckedSize::invalid();
  if (!bytes.valid() || !std::all_of(header.tokens.begin(), header.tokens.end(), known)) {
    return fail(ErrorCode::kUsage, {"base logits: " + path, "cannot hold these windows",
                                    "a context of 4 tokens or more and tokens of the vocabulary are needed", ""});
  }
  options.expected_bytes = bytes.value_or(0);
  ASSAY_ASSIGN(AtomicWriter file, AtomicWriter::create(path, options));
  ASSAY_TRY(file.write(kMagic));
  const uint32_t sizes_written[3] = {header.ctx, header.vocab, header.chunks};
  ASSAY_TRY(file.write(std::as_bytes(std::span(sizes_written))));
  ASSAY_TRY(file.write(std::as_bytes(std::span(header.tokens))));
  return KldWriter(std::move(file), header.vocab, header.rows());
}

Status KldWriter::write(std::span<const float> logits) {
  const size_t rows = logits.size() / vocab_, words = kld_row_words(vocab_);
  if (logits.size() % vocab_ != 0 || rows > rows_left_) return fail(ErrorCode::kInternal, "base logits: more rows than the header says");
  std::vector<uint16_t> encoded(rows * words);
  std::vector<FormatFloor> floors(rows);
  parallel_for(rows, 0, [&](size_t r) {
    const auto row = std::span(encoded).subspan(r * words, words);
    encode_kld_row(logits.subspan(r * vocab_, vocab_), row);
    floors[r] = floor_of(row, logits.subspan(r * vocab_, vocab_));
  });
  for (const FormatFloor& one : floors) floor_kl_.add(one.kl), floor_plain_.add(one.plain);
  rows_left_ -= rows;
  rows_written_ += rows;
  return file_.write(std::as_bytes(std::span(encoded)));
}

FormatFloor KldWriter::floor() const {
  const auto rows = static_cast<double>(std::max<uint64_t>(1, rows_written_));
  return {floor_kl_.value() / rows, floor_plain_.value() / rows};
}

Status KldWriter::commit() {
  if (rows_left_ != 0) return fail(ErrorCode::kInternal, "base logits: " + group_digits(rows_left_) + " rows are missing");
  return file_.commit();
}

}  // namespace assay
