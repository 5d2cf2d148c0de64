// Log-likelihoods of options and the choices made of them against `transformers`, item by item, on the bundled model and random ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "assay/model/network.h"
#include "assay/tasks/run_items.h"
#include "assay/tasks/task_score.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

// Sums of up to some hundred float32 logits' log p; the largest difference seen is a tenth of it.
constexpr double kTolerance = 1e-4;
constexpr size_t kItems = 25;

TEST(TaskLikelihoods, EqualTransformers) {
  const std::filesystem::path tasks = std::filesystem::path(ASSAY_SOURCE_DIR) / "../shared/data/tasks";
  std::vector<std::string> files;
  for (const char* name : {"hellaswag_val_1000", "arc_easy", "arc_challenge", "winogrande", "piqa", "boolq"})
    if (const auto file = tasks / (std::string(name) + ".jsonl"); std::filesystem::exists(file)) files.push_back(file.string());
  if (files.size() < 6) GTEST_SKIP() << "the task files (hellaswag_val_1000.jsonl, ..) are not in ../shared/data/tasks";
  const std::filesystem::path out = std::filesystem::path(testing::TempDir()) / "assay-task-likelihoods";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  const std::string demo = ASSAY_SOURCE_DIR "/demo/reference-9m";
  std::vector<std::string> arguments = {out.string(), demo, std::to_string(kItems)};
  arguments.insert(arguments.end(), files.begin(), files.end());
  const auto run = interop::run_python({"numpy", "safetensors", "tokenizers", "torch", "transformers"}, "task_likelihoods.py", arguments);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  for (const std::string name : {"demo", "qwen2", "gpt2"}) {
    const auto checkpoint = Checkpoint::open(name == "demo" ? demo : (out / name).string());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const Tokenizer tokenizer = *Tokenizer::from_metadata((*checkpoint)->metadata());
    const auto network = Network::load(*checkpoint, {});
    ASSERT_TRUE(network) << network.error().message;
    const auto expected = nlohmann::json::parse(std::ifstream(out / name / "likelihoods.json"));
    size_t compared = 0, truncated = 0, near = 0;
    double largest = 0;
    for (const std::string& file : files) {
      auto task = read_tasks(file);
      ASSERT_TRUE(task) << task.error().message;
      const auto& theirs = expected[file];
      ASSERT_GE(theirs.size(), kItems / 5);
      task->items.resize(theirs.size());
      EncodeItemsOptions options;
      options.context = static_cast<uint64_t>((*network)->hyper().context);
      const auto items = encode_items(task->items, tokenizer, file, options);
      ASSERT_TRUE(items) << items.error().message;
      const auto ours = run_items(**network, *items, {});
      ASSERT_TRUE(ours) << ours.error().message;
      for (size_t i = 0; i < ours->size(); ++i) {
        const auto reference = theirs[i].get<std::vector<double>>();
        ASSERT_EQ((*ours)[i].size(), reference.size());
        truncated += (*items)[i].truncated();
        for (size_t o = 0; o < reference.size(); ++o) {
          EXPECT_NEAR((*ours)[i][o], reference[o], kTolerance) << name << " " << file << " " << i << " " << o;
          largest = std::max(largest, std::fabs((*ours)[i][o] - reference[o]));
          ++compared;
        }
        const ItemScore own = score_item(task->items[i], (*ours)[i]), other = score_item(task->items[i], reference);
        std::vector<double> sorted = reference;
        std::sort(sorted.rbegin(), sorted.rend());
        if (sorted[0] - sorted[1] >= kTolerance) {
          EXPECT_EQ(own.choice[0], other.choice[0]) << name << " " << file << " " << i;
        } else {
          ++near;
        }
      }
    }
    RecordProperty(name, std::to_string(largest));
    std::printf("%s: %zu options, %zu items cut to the context, %zu with a margin under the tolerance, largest difference %.2g\n",
                name.c_str(), compared, truncated, near, largest);
  }
  std::filesystem::remove_all(out);
}

}  // namespace
}  // namespace assay
