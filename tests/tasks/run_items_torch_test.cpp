// Packed items against the same options each run alone as a window, for every form of attention and position, and for changed models.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/model/panel_product.h"
#include "assay/probe/changes.h"
#include "assay/probe/head.h"
#include "assay/probe/resolve_variant.h"
#include "assay/tasks/pack_items.h"
#include "assay/tasks/run_items.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

// Of a sum of log p: other orders of summation, where a CPU has no kernels of ours, and the sweep's difference form.
constexpr double kTolerance = 1e-5;

using Values = std::vector<std::vector<double>>;

// `count` items of random tokens: contexts of 3 to 150 tokens, 2 to 4 options of 1 to 90; some share their first tokens or are equal but
// for the last one; some differ from the first token on.
std::vector<EncodedItem> random_items(size_t count, int vocab, uint64_t seed) {
  std::vector<EncodedItem> items;
  for (size_t i = 0; i < count; ++i) {
    CounterRandom random(seed, i);
    const auto token = [&] { return static_cast<TokenId>(random.next_below(static_cast<uint64_t>(vocab))); };
    std::vector<TokenId> context(3 + random.next_below(148));
    for (TokenId& id : context) id = token();
    EncodedItem item;
    const size_t options = 2 + random.next_below(3);
    std::vector<TokenId> common(i % 3 == 0 ? 4 : 0);
    for (TokenId& id : common) id = token();
    for (size_t o = 0; o < options; ++o) {
      EncodedOption option;
      option.tokens = context;
      if (i % 4 == 3) option.tokens[0] = static_cast<TokenId>(o);  // nothing shared
      option.scored_begin = context.size() - (i % 5 == 4 ? o : 0);
      option.tokens.insert(option.tokens.end(), common.begin(), common.end());
      const uint64_t own = i % 7 == 6 ? 1 : 1 + random.next_below(90);
      for (uint64_t t = 0; t < own; ++t) option.tokens.push_back(token());
      item.options.push_back(std::move(option));
    }
    item.shared = item.options[0].tokens.size() - 1;
    for (const EncodedOption& option : item.options) {
      size_t same = 0;
      while (same < item.shared && same + 1 < option.tokens.size() && option.tokens[same] == item.options[0].tokens[same]) ++same;
      item.shared = same;
    }
    items.push_back(std::move(item));
  }
  return items;
}

Window window_of(const EncodedOption& option) {
  Window window;
  window.tokens = option.tokens;
  window.labels.assign(option.tokens.begin() + 1, option.tokens.end());
  window.score_begin = static_cast<uint32_t>(option.scored_begin - 1);
  window.score_end = static_cast<uint32_t>(option.tokens.size() - 1);
  return window;
}

Values run_alone(const Network& network, const std::vector<EncodedItem>& items) {
  Values values;
  for (const EncodedItem& item : items) {
    values.emplace_back();
    for (const EncodedOption& option : item.options) {
      const Window window = window_of(option);
      const at::Tensor hidden = *run_blocks(network, {&window, 1});
      const std::vector<int32_t> labels = scored_labels({&window, 1});
      std::vector<double> nll(labels.size());
      EXPECT_TRUE(head_nll(network, hidden, labels, HeadOptions{}, nll));
      double sum = 0;
      for (const double one : nll) sum -= one;
      values.back().push_back(sum);
    }
  }
  return values;
}

void expect_near(const Values& packed, const Values& alone, double tolerance) {
  ASSERT_EQ(packed.size(), alone.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    ASSERT_EQ(packed[i].size(), alone[i].size());
    for (size_t o = 0; o < packed[i].size(); ++o)
      EXPECT_NEAR(packed[i][o], alone[i][o], tolerance * (1 + std::fabs(alone[i][o]))) << i << " " << o;
  }
}

std::shared_ptr<const Network> demo() {
  static const auto network = *Network::load(*Checkpoint::open(ASSAY_SOURCE_DIR "/demo/reference-9m"), {});
  return network;
}

TEST(RunItems, PackedEqualsAlone) {
  const std::vector<EncodedItem> items = random_items(16, 8192, 1);
  const Values alone = run_alone(*demo(), items);
  for (const int64_t rows : {1, 300, 2048}) {
    RunItemsOptions options;
    options.rows_per_batch = rows;
    options.memory = rows == 300 ? 1 << 20 : uint64_t{512} << 20;
    const auto packed = run_items(*demo(), items, options);
    ASSERT_TRUE(packed) << packed.error().message;
    // Bit for bit where attention is our own kernel's, since a row depends on itself only.
    expect_near(*packed, alone, panel::float32_supported() ? 0 : kTolerance);
  }
  const auto separate = run_items(*demo(), separated(items), {});
  ASSERT_TRUE(separate);
  size_t next = 0;
  for (const auto& item : alone)
    for (const double value : item) EXPECT_NEAR((*separate)[next++][0], value, panel::float32_supported() ? 0 : kTolerance * -value);
}

TEST(RunItems, EveryFamilyOfModels) {
  for (const std::string architecture : {"llama", "qwen2", "qwen3", "gpt2", "mistral window"}) {
    Metadata metadata = tiny::metadata(architecture == "mistral window" ? "llama" : architecture);
    if (architecture == "mistral window") metadata.set("llama.attention.sliding_window", MetaValue::u32(16));
    const auto hyper = parse_hyper(metadata, true);
    ASSERT_TRUE(hyper) << hyper.error().message;
    const std::string path = testing::TempDir() + "assay-run-items.gguf";
    std::filesystem::remove(path);
    tiny::write_gguf_model(path, metadata, tiny::tensors_of(*hyper));
    const auto network = Network::load(*Checkpoint::open(path), {});
    ASSERT_TRUE(network) << architecture << ": " << network.error().message;
    const std::vector<EncodedItem> items = random_items(10, 24, 2);
    const auto packed = run_items(**network, items, {});
    ASSERT_TRUE(packed) << packed.error().message;
    SCOPED_TRACE(architecture);
    expect_near(*packed, run_alone(**network, items), panel::float32_supported() ? 0 : kTolerance);
    // A control: an option's own tokens matter.
    EXPECT_GT(std::fabs((*packed)[0][0] - (*packed)[0][1]), 1e-3);
  }
}

TEST(RunItems, ChangedModelsEqualTheSweep) {
  const std::vector<EncodedItem> items = random_items(4, 8192, 3);
  const ChangeSource changes(demo(), nullptr, {});
  VariantResolver resolver(demo(), changes);
  std::vector<Variant> variants(5);
  for (const char* tensor : {"token_embd.weight", "blk.3.ffn_down.weight", "blk.7.attn_k.weight"}) {
    WeightEdit edit;
    edit.tensor = tensor;
    edit.action = WeightEdit::Action::kType;
    edit.type = GgmlType::kQ2_K;
    variants[0].weights.push_back(edit);
  }
  WeightEdit noise;
  noise.tensor = "blk.2.ffn_up.weight";
  noise.action = WeightEdit::Action::kNoise;
  noise.value = 0.1;
  variants[1].weights = {noise};
  ScheduleEdit skip, half, repeat;
  skip.first = skip.last = 4;
  half.first = half.last = 11;
  half.part = ScheduleEdit::Part::kAttention;
  repeat.action = ScheduleEdit::Action::kRepeat;
  repeat.first = 1;
  repeat.last = repeat.times = 2;
  repeat.gamma = 0.5;
  variants[2].schedule = {skip};
  variants[3].schedule = {half};
  variants[4].schedule = {repeat};
  const Values base = *run_items(*demo(), items, {});
  for (size_t v = 0; v < variants.size(); ++v) {
    const auto resolved = resolver.resolve(variants[v]);
    ASSERT_TRUE(resolved) << resolved.error().message;
    RunItemsOptions options;
    options.variant = &*resolved;
    const auto packed = run_items(*demo(), items, options);
    ASSERT_TRUE(packed) << packed.error().message;
    Values swept;
    for (const EncodedItem& item : items) {
      swept.emplace_back();
      for (const EncodedOption& option : item.options) {
        const Window window = window_of(option);
        double sum = 0;
        const Status done = run_sweep(*demo(), {&window, 1}, {&*resolved, 1}, {}, [&](size_t, size_t, auto rows) {
          for (const PositionObservation& row : rows) sum -= row.nll;
        });
        ASSERT_TRUE(done) << done.error().message;
        swept.back().push_back(sum);
      }
    }
    SCOPED_TRACE(v);
    expect_near(*packed, swept, kTolerance);
    EXPECT_GT(std::fabs((*packed)[0][0] - base[0][0]), 1e-4);
  }
  ResolvedVariant rules;
  rules.attention.push_back({0, "top", std::make_shared<AttentionRules>(4)});
  RunItemsOptions options;
  options.variant = &rules;
  const auto refused = run_items(*demo(), items, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace assay
