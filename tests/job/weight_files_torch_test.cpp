// `assay score --weights` on a tiny model: the files' sums against the table of the same run, what is refused, what is left behind.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "assay/base/version.h"
#include "assay/engine.h"
#include "assay/file/safetensors.h"
#include "assay/job/weight_files.h"
#include "assay/score/registry.h"
#include "tests/file/test_files.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
constexpr double kFloat = 1e-6;  // of the sum of sizes: values are rounded to float32

// A tiny model and a text in a directory of the test's own.
struct Files {
  testing_files::ScratchDirectory scratch;
  std::string model = scratch / "model", text = scratch / "text.txt", weights = scratch / "weights", store = scratch / "store";
  Files() {
    tiny::write_hf_model(model, tiny::llama_config(), tiny::llama_tensors());
    std::string letters;
    CounterRandom random(1, 2);
    for (int i = 0; i < 60; ++i) letters += static_cast<char>('a' + random.next_below(24));
    testing_files::put_file(text, letters);
  }
  ScoreModelOptions options(std::vector<std::string> scores) const {
    ScoreModelOptions options;
    options.model = model;
    options.text.path = text;
    options.text.windows.ctx = 16;
    options.text.windows.chunks = 3;
    options.scores = std::move(scores);
    options.types = {GgmlType::kQ4_0, GgmlType::kQ8_0, GgmlType::kQ4_K};  // no row is long enough for the last
    options.weights = weights;
    return options;
  }
  Result<ScoreModelResult> run(const ScoreModelOptions& options, int threads = 0) const {
    RunSettings settings;
    settings.threads = threads;
    settings.store = store;
    return assay_engine()->score_model(options, settings, silent_progress());
  }
};

const ScoreTable& table(const ScoreModelResult& made, std::string_view name) {
  return std::ranges::find_if(made.scores, [&](const Scored& one) { return one.info.name == name; })->table;
}

Safetensors read(const std::string& path) { return Safetensors::parse(open_file(path).value()).value(); }

std::vector<float> values_of(const Safetensors& file, const SafetensorInfo& tensor) {
  std::vector<float> values((tensor.end - tensor.begin) / sizeof(float));
  EXPECT_TRUE(file.read(tensor, 0, std::as_writable_bytes(std::span(values))));
  return values;
}

TEST(WeightFiles, SumsAreTheScoresOfTheMatrices) {
  const Files files;
  const std::vector<std::string> scores = {"kurtosis",    "weight_norm", "weight_error",  "imatrix_error",
                                           "taylor1_abs", "fisher",      "output_fisher", "taylor2_true_fisher"};
  auto options = files.options(scores);
  options.weights.clear();
  const auto before = files.run(options);
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_TRUE(before->weight_files.empty());
  options.weights = files.weights;
  const auto made = files.run(options);  // though every unit is finished
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->without_weights, (std::vector<std::string>{"kurtosis", "output_fisher"}));
  EXPECT_EQ(made->weight_files.size(), 2u + 4 * 2);
  size_t names = 0;
  for (const auto& entry : fs::directory_iterator(files.weights)) names += entry.path().extension() == ".safetensors";
  EXPECT_EQ(names, made->weight_files.size());
  for (const WeightFile& one : made->weight_files) {
    const Safetensors file = read(one.path);
    const std::string type = one.type ? find_type(*one.type)->name : "";
    EXPECT_EQ(one.path, files.weights + "/" + one.score + (type.empty() ? "" : "." + type) + ".safetensors");
    EXPECT_EQ(file.metadata().at("score"), one.score);
    EXPECT_EQ(file.metadata().at("version"), program_version());
    EXPECT_EQ(file.metadata().at("model_sha256").size(), 64u);
    EXPECT_EQ(file.metadata().at("text_sha256").size(), 64u);
    EXPECT_EQ(file.metadata().contains("type"), one.type.has_value());
    EXPECT_EQ(fs::file_size(one.path), one.bytes);
    uint64_t elements = 0, with_value = 0;
    for (const SafetensorInfo& tensor : file.tensors()) {
      double sum = 0, sizes = 0;
      for (const float value : values_of(file, tensor)) {
        sum += static_cast<double>(value);
        sizes += std::fabs(static_cast<double>(value));
        ++elements;
      }
      const auto& rows = table(*made, one.score).rows;
      const auto row = std::ranges::find_if(rows, [&](const ScoreRow& some) { return some.name == tensor.name; });
      ASSERT_NE(row, rows.end()) << tensor.name;
      EXPECT_NEAR(sum, find_cell(*row, one.type)->value, kFloat * sizes) << one.path << " " << tensor.name;
      ASSERT_EQ(tensor.shape.size(), 2u);
      EXPECT_EQ(tensor.shape[0] * tensor.shape[1], row->elements);
    }
    for (const ScoreRow& row : table(*made, one.score).rows) with_value += find_cell(row, one.type) != nullptr;
    EXPECT_EQ(file.tensors().size(), with_value) << one.path;
    EXPECT_EQ(one.tensors, with_value);
    EXPECT_EQ(one.elements, elements);
    ASSERT_EQ(one.shares.size(), 3u);
    EXPECT_DOUBLE_EQ(one.shares[2].first, 0.0525);
    EXPECT_GT(one.shares[0].second, 0.0015);  // the largest hold more than their part
    EXPECT_GT(one.shares[2].second, one.shares[1].second);
    EXPECT_LT(one.shares[2].second, 1);
  }
  const Safetensors fisher = read(files.weights + "/fisher.safetensors");
  ASSERT_NE(fisher.find("blk.0.attn_k.weight"), nullptr);
  EXPECT_EQ(fisher.find("blk.0.attn_k.weight")->shape, (std::vector<uint64_t>{16, 32}));  // [out, in]
  for (const Scored& score : made->scores)  // values do not depend on whether they are written
    for (size_t r = 0; r < score.table.rows.size(); ++r)
      for (size_t c = 0; c < score.table.rows[r].cells.size(); ++c)
        EXPECT_EQ(score.table.rows[r].cells[c].value, table(*before, score.info.name).rows[r].cells[c].value);
}

TEST(WeightFiles, DoNotDependOnThreads) {
  const Files files;
  auto options = files.options({"weight_norm", "weight_error", "taylor1", "fisher"});
  ASSERT_TRUE(files.run(options, 1));
  const std::string first = files.weights;
  options.weights = files.scratch / "again";
  const auto made = files.run(options, 2);
  ASSERT_TRUE(made);
  for (const WeightFile& one : made->weight_files) {
    const std::string name = fs::path(one.path).filename().string();
    EXPECT_EQ(testing_files::get_file(one.path), testing_files::get_file(first + "/" + name)) << name;
  }
}

TEST(WeightFiles, RefusesWhatIsThereBeforeTheWork) {
  const Files files;
  auto options = files.options({"weight_error", "fisher"});
  fs::create_directories(files.weights);
  const std::string taken = files.weights + "/weight_error.Q8_0.safetensors";
  testing_files::put_file(taken, "mine");
  options.model = files.scratch / "no-model";  // not even opened
  const auto refused = files.run(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().message.find("weight_error.Q8_0.safetensors exists"), std::string::npos) << refused.error().message;
  EXPECT_EQ(testing_files::get_file(taken), "mine");
  options.model = files.model;
  options.force = true;
  ASSERT_TRUE(files.run(options));
  EXPECT_NE(testing_files::get_file(taken), "mine");
  // No score that is a sum over weights.
  options.scores = {"kurtosis", "bi"};
  const auto none = files.run(options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
}

TEST(WeightFiles, NothingStaysOfARunThatFails) {
  const Files files;
  std::vector<std::shared_ptr<Score>> scores;
  auto named = scores_named({"fisher"});
  ASSERT_TRUE(named);
  for (auto& score : *named) scores.push_back(std::move(score));
  {
    auto made = WeightFiles::prepare(files.weights, scores, {}, false);
    ASSERT_TRUE(made) << made.error().message;
    const WeightedMatrix matrices[] = {{{"a", role_of("a"), 2, 3}, {}}, {{"b", role_of("b"), 1, 2}, {}}};
    ASSERT_TRUE((*made)->expect(*scores[0], matrices));
    const std::vector<float> values(6, 1);
    EXPECT_TRUE((*made)->take(*scores[0], std::nullopt, "a", values));
    EXPECT_FALSE((*made)->take(*scores[0], GgmlType::kQ4_0, "a", values));  // not announced
    EXPECT_FALSE((*made)->finish(silent_progress()));                       // b is missing
  }
  EXPECT_TRUE(fs::is_empty(files.weights));
}

}  // namespace
}  // namespace assay
