#include <gtest/gtest.h>

#include "assay/model/attention.h"

namespace assay {
namespace {

struct Case {
  int heads, kv_heads, head_dim;
  int64_t sequences, tokens, begin, end, window;
};
// Grouped heads, head sizes around a panel of 64, queries and keys around panels and blocks of 48, sliding windows.
constexpr Case kCases[] = {{4, 4, 64, 2, 64, 0, 64, 0},  {6, 2, 24, 1, 130, 0, 130, 0},   {14, 2, 64, 3, 97, 31, 96, 0},
                           {2, 1, 80, 1, 49, 48, 49, 0}, {4, 2, 128, 2, 200, 0, 200, 50}, {2, 2, 40, 1, 300, 150, 299, 65}};

class Attention : public testing::TestWithParam<Case> {
 protected:
  Attention() {
    const Case& c = GetParam();
    hyper_.heads = c.heads;
    hyper_.kv_heads = c.kv_heads;
    hyper_.head_dim = c.head_dim;
    if (c.window > 0) hyper_.sliding_window = static_cast<decltype(hyper_.sliding_window)>(c.window);
    at::manual_seed(21);
    q_ = at::randn({c.sequences, c.end - c.begin, c.heads, c.head_dim}) * 2;
    k_ = at::randn({c.sequences, c.tokens, c.kv_heads, c.head_dim});
    v_ = at::randn({c.sequences, c.tokens, c.kv_heads, c.head_dim});
  }
  at::NoGradGuard no_grad_;
  Hyper hyper_;
  at::Tensor q_, k_, v_;
};

TEST_P(Attention, EqualsTheDefinitionInDouble) {
  const at::Tensor exact = attend(hyper_, q_.to(at::kDouble), k_.to(at::kDouble), v_.to(at::kDouble), GetParam().begin);
  EXPECT_LT((attend_fast(hyper_, q_, k_, v_, GetParam().begin) - exact).abs().max().item<double>(), 1e-5);
}

// Other sequences, other queries and the threads change nothing, bit for bit.
TEST_P(Attention, AQueryDoesNotDependOnWhatRunsWithIt) {
  const Case& c = GetParam();
  at::set_num_threads(2);
  const at::Tensor all = attend_fast(hyper_, q_, k_, v_, c.begin).view({c.sequences, c.end - c.begin, -1});
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    for (int64_t s = 0; s < c.sequences; ++s) {
      const at::Tensor k = k_.narrow(0, s, 1), v = v_.narrow(0, s, 1), q = q_.narrow(0, s, 1);
      EXPECT_TRUE(attend_fast(hyper_, q, k, v, c.begin).equal(all[s])) << s;
      for (const int64_t skipped : {int64_t{1}, (c.end - c.begin) / 2}) {
        const int64_t left = c.end - c.begin - skipped;
        if (left < 1) continue;
        EXPECT_TRUE(attend_fast(hyper_, q.narrow(1, skipped, left), k, v, c.begin + skipped).equal(all[s].narrow(0, skipped, left)))
            << skipped;
      }
    }
  }
  at::set_num_threads(2);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention, testing::ValuesIn(kCases));

}  // namespace
}  // namespace assay
