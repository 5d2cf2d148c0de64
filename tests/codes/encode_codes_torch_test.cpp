// Codes chosen under second moments: what they promise, for every type that has codes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "assay/base/simd.h"
#include "assay/codes/choose_damping.h"
#include "assay/codes/encode_codes.h"
#include "assay/quant/codec.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/scale_layout.h"

namespace assay {
namespace {

constexpr int64_t kWidth = 512, kRowCount = 40;  // two blocks of columns; rows no multiple of a strip

struct Case {
  at::Tensor weight, h;
};

// Inputs whose columns are mixed from fewer causes, as those of real layers are.
Case correlated(int64_t rows = kRowCount, int64_t width = kWidth) {
  at::manual_seed(5);
  const at::Tensor mix = at::randn({width / 8, width}), x = at::randn({3000, width / 8}).mm(mix).add_(at::randn({3000, width}), 0.3);
  return {at::randn({rows, width}) * at::randn({rows, 1}).abs().add(0.1), x.t().mm(x) / 3000};
}

SecondMoment prepared(const at::Tensor& h, double damping = 0.01) {
  auto moment = SecondMoment::prepare(h, damping);
  EXPECT_TRUE(moment) << moment.error().message;
  return std::move(*moment);
}

std::vector<std::byte> room_for(GgmlType type, const at::Tensor& weight) {
  const GgmlTypeInfo& info = *find_type(type);
  return std::vector<std::byte>(static_cast<size_t>(weight.numel()) / info.block_size * info.block_bytes);
}

// Sum over rows of e H e^T, damped as codes see it, in double.
double error_of(GgmlType type, std::span<const std::byte> bytes, const Case& c, double damping = 0.01) {
  at::Tensor decoded = at::empty_like(c.weight);
  EXPECT_TRUE(decode(type, bytes, static_cast<uint64_t>(c.weight.size(1)),
                     {decoded.mutable_data_ptr<float>(), static_cast<size_t>(decoded.numel())}));
  const at::Tensor e = (c.weight - decoded).to(at::kDouble);
  at::Tensor h = c.h.to(at::kDouble);
  h = h + at::eye(h.size(0), h.options()) * (h.diagonal().mean() * damping);
  return (e.mm(h) * e).sum().item<double>();
}

std::vector<GgmlType> all_types() {
  std::vector<GgmlType> types;
  for (const ScaleLayout& layout : all_scale_layouts())
    if (can_choose_codes(layout.type)) types.push_back(layout.type);
  for (const GridFormat* format : all_grid_formats())
    if (can_choose_codes(format->type)) types.push_back(format->type);
  return types;
}

TEST(EncodeCodes, CoversEveryScalarFormatAndEveryGrid) {
  EXPECT_EQ(all_types().size(), all_scale_layouts().size() + all_grid_formats().size());
}

TEST(EncodeCodes, TheErrorFallsFromStageToStage) {
  const Case c = correlated();
  const SecondMoment moment = prepared(c.h);
  for (const GgmlType type : all_types()) {
    SCOPED_TRACE(find_type(type)->name);
    std::vector<std::byte> nearest = room_for(type, c.weight), fed = nearest, best = nearest;
    const auto none = encode_codes(type, c.weight, moment, Codes::kNearest, 0, nearest);
    const auto feedback = encode_codes(type, c.weight, moment, Codes::kFeedback, 0, fed);
    const auto chosen = encode_codes(type, c.weight, moment, Codes::kBest, 0, best);
    ASSERT_TRUE(none && feedback && chosen);
    // The bytes hold what the reports say.
    EXPECT_NEAR(error_of(type, nearest, c), none->final, 1e-3 * none->final);
    EXPECT_NEAR(error_of(type, fed, c), feedback->final, 1e-3 * none->final);
    EXPECT_NEAR(error_of(type, best, c), chosen->final, 1e-3 * none->final);
    EXPECT_LT(feedback->final, 0.9 * none->final);
    EXPECT_LT(chosen->final, feedback->final);
    EXPECT_GT(chosen->sweeps, 0);
  }
}

TEST(EncodeCodes, NearestCodesAreThePlainEncoders) {
  const Case c = correlated();
  const SecondMoment moment = prepared(c.h);
  std::vector<std::byte> ours = room_for(GgmlType::kQ4_K, c.weight), plain = ours;
  ASSERT_TRUE(encode_codes(GgmlType::kQ4_K, c.weight, moment, Codes::kNearest, 0, ours));
  EncodeOptions options;
  options.importance = moment.importance();
  ASSERT_TRUE(encode(GgmlType::kQ4_K, {c.weight.const_data_ptr<float>(), static_cast<size_t>(c.weight.numel())}, kWidth, plain, options));
  EXPECT_EQ(ours, plain);
}

// Uncorrelated inputs leave nothing to carry on: the importance-weighted encoder's error, or less.
TEST(EncodeCodes, OfADiagonalAreNoWorseThanTheWeightedEncoders) {
  Case c = correlated();
  c.h = at::diag(c.h.diagonal());
  const SecondMoment moment = prepared(c.h, 1e-6);
  for (const GgmlType type : all_types()) {
    SCOPED_TRACE(find_type(type)->name);
    std::vector<std::byte> bytes = room_for(type, c.weight);
    const auto fed = encode_codes(type, c.weight, moment, Codes::kFeedback, 0, bytes);
    ASSERT_TRUE(fed);
    EXPECT_LE(fed->final, fed->nearest * (1 + 1e-6));
    const auto best = encode_codes(type, c.weight, moment, Codes::kBest, 0, bytes);
    ASSERT_TRUE(best);
    EXPECT_LE(best->final, fed->final * (1 + 1e-6));
  }
}

TEST(EncodeCodes, ARowDependsOnThatRowOnly) {
  const Case c = correlated();
  const SecondMoment moment = prepared(c.h);
  std::vector<GgmlType> types = {GgmlType::kQ3_K, GgmlType::kIQ4_NL};
  for (const GridFormat* format : all_grid_formats()) types.push_back(format->type);
  for (const GgmlType type : types)
    for (const Codes codes : {Codes::kFeedback, Codes::kBest}) {
      SCOPED_TRACE(std::string(find_type(type)->name) + " " + std::string(name_of(codes)));
      std::vector<std::byte> all = room_for(type, c.weight), again = all;
      ASSERT_TRUE(encode_codes(type, c.weight, moment, codes, 0, all));
      at::set_num_threads(1);
      ASSERT_TRUE(encode_codes(type, c.weight, moment, codes, 1, again));
      at::set_num_threads(2);
      EXPECT_EQ(again, all);
      if (codes == Codes::kBest) continue;  // the number of sweeps is that of all rows at hand
      const at::Tensor some = c.weight.narrow(0, 3, 5).contiguous();
      std::vector<std::byte> part = room_for(type, some);
      ASSERT_TRUE(encode_codes(type, some, moment, codes, 0, part));
      const size_t row = all.size() / kRowCount;
      EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + static_cast<ptrdiff_t>(3 * row)));
      ASSERT_TRUE(encode_codes(type, c.weight, moment, codes, 0, again, 16));
      EXPECT_EQ(again, all);
    }
}

// Rows worked on sixteen at a time by more threads than there are parts, by two and by one.
TEST(EncodeCodes, ThreadsChangeNothing) {
  const Case c = correlated();
  const SecondMoment moment = prepared(c.h);
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kTQ1_0, GgmlType::kIQ2_S})
    for (const Codes codes : {Codes::kFeedback, Codes::kBest}) {
      SCOPED_TRACE(std::string(find_type(type)->name) + " " + std::string(name_of(codes)));
      std::vector<std::byte> alone = room_for(type, c.weight), shared = alone;
      const auto expected = encode_codes(type, c.weight, moment, codes, 1, alone, 16);
      ASSERT_TRUE(expected);
      for (const int threads : {2, 5}) {
        const auto report = encode_codes(type, c.weight, moment, codes, threads, shared, 16);
        ASSERT_TRUE(report);
        EXPECT_EQ(shared, alone);
        EXPECT_EQ(report->nearest, expected->nearest);
        EXPECT_EQ(report->final, expected->final);
        EXPECT_EQ(report->sweeps, expected->sweeps);
      }
    }
}

// What each vector level makes of the same rows.
TEST(EncodeCodes, BytesAreThoseOfEveryVectorLevel) {
  const Case c = correlated(20);
  const SecondMoment moment = prepared(c.h);
  for (const GgmlType type : all_types()) {
    SCOPED_TRACE(find_type(type)->name);
    std::vector<std::byte> best = room_for(type, c.weight), limited = best;
    ASSERT_TRUE(encode_codes(type, c.weight, moment, Codes::kBest, 0, best));
    for (const Simd level : {Simd::kPortable, Simd::kAvx2}) {
      limit_simd(level);
      ASSERT_TRUE(encode_codes(type, c.weight, moment, Codes::kBest, 0, limited));
      limit_simd(Simd::kAvx512);
      EXPECT_EQ(limited, best);
    }
  }
}

TEST(EncodeCodes, RowsOfZerosAndNarrowLastBlocks) {
  Case c = correlated(20, 288);  // 256 and 32 columns
  c.weight.select(0, 2).zero_();
  const SecondMoment moment = prepared(c.h);
  std::vector<std::byte> bytes = room_for(GgmlType::kQ5_1, c.weight);
  const auto report = encode_codes(GgmlType::kQ5_1, c.weight, moment, Codes::kBest, 0, bytes);
  ASSERT_TRUE(report);
  EXPECT_NEAR(error_of(GgmlType::kQ5_1, bytes, c), report->final, 1e-3 * report->nearest);
  EXPECT_LT(report->final, report->nearest);
}

TEST(EncodeCodes, GridTypesTakeRowsAndSuperBlocksOfZeros) {
  Case c = correlated(20);
  c.weight.select(0, 2).zero_();
  c.weight[3].narrow(0, 256, 256).zero_();
  const SecondMoment moment = prepared(c.h);
  for (const GridFormat* format : all_grid_formats()) {
    SCOPED_TRACE(find_type(format->type)->name);
    std::vector<std::byte> bytes = room_for(format->type, c.weight);
    const auto report = encode_codes(format->type, c.weight, moment, Codes::kBest, 0, bytes);
    ASSERT_TRUE(report);
    EXPECT_NEAR(error_of(format->type, bytes, c), report->final, 1e-3 * report->nearest);
    EXPECT_LT(report->final, report->feedback);
  }
}

TEST(EncodeCodes, RefusesWhatDoesNotBelongTogether) {
  const Case c = correlated();
  const SecondMoment moment = prepared(c.h);
  std::vector<std::byte> bytes = room_for(GgmlType::kQ4_0, c.weight);
  const at::Tensor narrow = c.weight.narrow(1, 0, 256).contiguous();
  EXPECT_EQ(encode_codes(GgmlType::kQ4_0, narrow, moment, Codes::kBest, 0, bytes).error().code, ErrorCode::kMismatch);
  EXPECT_EQ(encode_codes(GgmlType::kF16, c.weight, moment, Codes::kBest, 0, bytes).error().code, ErrorCode::kUnsupported);
  at::Tensor broken = c.weight.clone();
  broken[1][7] = NAN;
  EXPECT_EQ(encode_codes(GgmlType::kQ4_0, broken, moment, Codes::kBest, 0, bytes).error().code, ErrorCode::kBadInput);
}

TEST(SecondMoments, BadMatricesAreNamed) {
  const at::Tensor good = correlated().h;
  const auto message = [](const at::Tensor& h) {
    const auto result = SecondMoment::prepare(h, 0.01);
    EXPECT_FALSE(result);
    EXPECT_EQ(result ? ErrorCode::kInternal : result.error().code, ErrorCode::kBadInput);
    return result ? std::string() : result.error().message;
  };
  EXPECT_TRUE(SecondMoment::prepare(good, 0.01));
  EXPECT_NE(message(good.narrow(0, 0, 256)).find("square"), std::string::npos);
  at::Tensor h = good.clone();
  h[3][4] = NAN;
  EXPECT_NE(message(h).find("NaN"), std::string::npos);
  h = good.clone();
  h[3][4] += 10;
  EXPECT_NE(message(h).find("symmetric"), std::string::npos);
  h = good.clone();
  h[3][3] = -1;
  EXPECT_NE(message(h).find("negative"), std::string::npos);
  EXPECT_NE(message(at::zeros_like(good)).find("zero"), std::string::npos);
  h = good.clone();
  h[3][4] = h[4][3] = 10 * good.diagonal().max();  // no X has this X^T X
  EXPECT_NE(message(h).find("positive definite"), std::string::npos);
}

TEST(SecondMoments, OfFewerTokensThanColumnsAreSolvedByDamping) {
  const at::Tensor x = at::randn({20, kWidth});
  const SecondMoment moment = prepared(x.t().mm(x) / 20);
  const Case c = correlated();
  std::vector<std::byte> bytes = room_for(GgmlType::kQ4_K, c.weight);
  const auto report = encode_codes(GgmlType::kQ4_K, c.weight, moment, Codes::kBest, 0, bytes);
  ASSERT_TRUE(report);
  EXPECT_LT(report->final, report->nearest);
}

TEST(Damping, IsLargeForFewTokensAndSmallForMany) {
  at::manual_seed(8);
  const at::Tensor mix = at::randn({32, 256}), weight = at::randn({32, 256});
  const auto tokens = [&](int64_t count) { return at::randn({count, 32}).mm(mix).add_(at::randn({count, 256})); };
  const auto moment = [](const at::Tensor& x) { return x.t().mm(x) / static_cast<double>(x.size(0)); };
  const at::Tensor unseen = moment(tokens(20000));
  const auto best = [&](int64_t count) {
    const auto errors = damping_errors({weight, moment(tokens(count)), unseen});
    EXPECT_TRUE(errors);
    return best_damping(std::vector<std::vector<double>>{*errors});
  };
  EXPECT_GT(best(100), best(20000));
}

}  // namespace
}  // namespace assay
