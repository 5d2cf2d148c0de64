#include "assay/base/checked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/base/random.h"
#include "assay/base/result.h"

namespace assay {
namespace {

__extension__ using Wide = unsigned __int128;  // exact for every operation on two 64-bit numbers

// Numbers near the places where things wrap, and everywhere else.
uint64_t awkward(CounterRandom& random) {
  const uint64_t edge = uint64_t{1} << random.next_below(64);
  switch (random.next_below(4)) {
    case 0:
      return random.next_u64();
    case 1:
      return edge - 1 - random.next_below(2);
    case 2:
      return edge + random.next_below(3);
    default:
      return random.next_below(5);
  }
}

void expect_equal(CheckedSize found, Wide exact, const char* operation, uint64_t a, uint64_t b) {
  const bool representable = exact <= UINT64_MAX;
  ASSERT_EQ(found.valid(), representable) << a << operation << b;
  if (representable) {
    EXPECT_EQ(*found.value(), static_cast<uint64_t>(exact)) << a << operation << b;
  }
}

TEST(CheckedSize, AgreesWithExactArithmetic) {
  CounterRandom random(1, 1);
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t a = awkward(random);
    const uint64_t b = awkward(random);
    expect_equal(CheckedSize(a) + b, Wide{a} + b, " + ", a, b);
    expect_equal(CheckedSize(a) * b, Wide{a} * b, " * ", a, b);
    const CheckedSize difference = CheckedSize(a) - b;
    ASSERT_EQ(difference.valid(), a >= b);
    if (a >= b) {
      EXPECT_EQ(*difference.value(), a - b);
    }
    const CheckedSize quotient = CheckedSize(a).divide_exact(b);
    ASSERT_EQ(quotient.valid(), b != 0 && a % b == 0) << a << " / " << b;
    if (quotient.valid()) {
      EXPECT_EQ(*quotient.value() * b, a);
    }
    if (b == 0) {
      EXPECT_FALSE(CheckedSize(a).round_up(b).valid());
    } else {
      expect_equal(CheckedSize(a).round_up(b), (Wide{a} + b - 1) / b * b, " round_up ", a, b);
    }
  }
}

TEST(CheckedSize, OnceInvalidAlwaysInvalid) {
  const CheckedSize bad = CheckedSize(UINT64_MAX) + 1;
  for (const CheckedSize derived : {bad + 0, bad - bad, bad * 0, bad.divide_exact(1), bad.round_up(8), CheckedSize(0) * bad}) {
    EXPECT_FALSE(derived.valid());
    EXPECT_FALSE(derived.value());
    EXPECT_FALSE(derived.fits(UINT64_MAX));
    EXPECT_EQ(derived.value_or(42), 42u);
  }
  EXPECT_TRUE(CheckedSize(7).fits(7));
  EXPECT_FALSE(CheckedSize(8).fits(7));
}

Result<int> half(int number) {
  if (number % 2 != 0)
    return fail(ErrorCode::kBadInput, {"half: " + std::to_string(number), "is odd", "an even number is needed", "typo?"});
  return number / 2;
}

Result<int> quarter(int number) {
  ASSAY_ASSIGN(const int once, half(number));
  ASSAY_ASSIGN(const int twice, half(once));
  return twice;
}

Status check_quarter(int number) {
  ASSAY_TRY(quarter(number));
  return {};
}

TEST(Result, MacrosPassValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_TRUE(check_quarter(12));
  const Status odd = check_quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(odd.error().message, "half: 3 is odd; an even number is needed (typo?)");
}

TEST(Error, MessagesLeaveOutEmptyParts) {
  EXPECT_EQ(make_error(ErrorCode::kIo, {"disk", "is full", "", ""}).message, "disk is full");
  EXPECT_EQ(make_error(ErrorCode::kIo, {"disk", "", "10 bytes are needed", ""}).message, "disk; 10 bytes are needed");
  EXPECT_EQ(make_error(ErrorCode::kIo, {"", "is full", "", "why?"}).message, "is full (why?)");
}

TEST(Error, CodesHaveNamesAndExitCodes) {
  EXPECT_EQ(name_of(ErrorCode::kBadInput), "bad_input");
  EXPECT_EQ(exit_code_of(ErrorCode::kUsage), 64);
  for (const ErrorCode code : {ErrorCode::kBadInput, ErrorCode::kUnsupported, ErrorCode::kNotFound, ErrorCode::kMismatch})
    EXPECT_EQ(exit_code_of(code), 65);
  EXPECT_EQ(exit_code_of(ErrorCode::kInternal), 70);
  EXPECT_EQ(exit_code_of(ErrorCode::kIo), 74);
  EXPECT_EQ(exit_code_of(ErrorCode::kNoSpace), 74);
  EXPECT_EQ(exit_code_of(ErrorCode::kInterrupted), 75);
}

}  // namespace
}  // namespace assay
