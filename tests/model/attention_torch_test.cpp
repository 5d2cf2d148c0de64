#include <gtest/gtest.h>

#include "assay/model/attention.h"
#include "assay/model/panel_product.h"

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

// Trees of a stem and branches of several lengths, one without a stem, one without branches: each part as the end of a sequence of its own.
TEST_P(Attention, TreesEqualTheirSequences) {
  const Case& c = GetParam();
  const std::vector<TokenTree> trees = {{{70, 69}, {{5, 0}, {61, 0}, {1, 0}, {130, 3}}}, {{0, 0}, {{3, 1}, {70, 70}}}, {{64, 10}, {}}};
  int64_t rows = 0, wanted = 0;
  for (const TokenTree& tree : trees) {
    rows += tree.rows();
    wanted += tree.wanted_rows();
  }
  const at::Tensor q = at::randn({rows, c.heads, c.head_dim}) * 2, k = at::randn({rows, c.kv_heads, c.head_dim});
  const at::Tensor v = at::randn({rows, c.kv_heads, c.head_dim});
  const at::Tensor all = attend_trees(hyper_, q, k, v, trees, false);
  ASSERT_EQ(all.size(0), rows);
  int64_t row = 0;
  for (const TokenTree& tree : trees) {
    const int64_t stem = row;
    const auto expect_part = [&](int64_t tokens, int64_t before) {
      if (tokens > 0) {
        const auto sequence = [&](const at::Tensor& x) {
          return at::cat({x.narrow(0, stem, before), x.narrow(0, row, tokens)}).unsqueeze(0);
        };
        const at::Tensor alone = attend_fast(hyper_, sequence(q), sequence(k), sequence(v), 0).narrow(0, before, tokens);
        EXPECT_LT((all.narrow(0, row, tokens) - alone).abs().max().item<double>(), panel::float32_supported() ? 1e-30 : 1e-5) << row;
      }
      row += tokens;
    };
    expect_part(tree.stem.tokens, 0);
    for (const TokenTree::Part& branch : tree.branches) expect_part(branch.tokens, tree.stem.tokens);
  }
  const at::Tensor chosen = at::tensor(wanted_rows_of(trees), at::kLong);
  ASSERT_EQ(chosen.size(0), wanted);
  EXPECT_TRUE(attend_trees(hyper_, q.index_select(0, chosen), k, v, trees, true).equal(all.index_select(0, chosen)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention, testing::ValuesIn(kCases));

}  // namespace
}  // namespace assay
