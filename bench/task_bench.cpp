// How fast items are scored: an item's shared beginning once, against each option alone, packed alike; and against one option per forward.
// Ratios within one run. usage: task_bench MODEL FILE [--items N] [--repeats R]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "assay/job/inputs.h"
#include "assay/probe/head.h"
#include "assay/tasks/pack_items.h"
#include "assay/tasks/run_items.h"

namespace assay {
namespace {

double timed(const std::function<Status()>& work, int repeats) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (const Status done = work(); !done) {
      fmt::print("{}\n", done.error().message);
      return best;
    }
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

Status one_by_one(const Network& network, const std::vector<EncodedItem>& items) {
  for (const EncodedItem& item : items)
    for (const EncodedOption& option : item.options) {
      Window window;
      window.tokens.assign(option.tokens.begin(), option.tokens.end() - 1);
      window.labels.assign(option.tokens.begin() + 1, option.tokens.end());
      window.score_begin = static_cast<uint32_t>(option.scored_begin - 1);
      window.score_end = static_cast<uint32_t>(window.tokens.size());
      ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, {&window, 1}));
      const std::vector<int32_t> labels = scored_labels({&window, 1});
      std::vector<double> nll(labels.size());
      ASSAY_TRY(head_nll(network, hidden, labels, HeadOptions{}, nll));
    }
  return {};
}

Status run(const std::string& path, const std::string& file, size_t count, int repeats) {
  RunSettings settings;
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(path, settings, silent_progress()));
  ASSAY_ASSIGN(TaskFile task, read_tasks(file));
  if (task.items.size() > count) task.items.resize(count);
  EncodeItemsOptions options;
  options.context = static_cast<uint64_t>(model.network->hyper().context);
  ASSAY_ASSIGN(const std::vector<EncodedItem> items, encode_items(task.items, *model.tokenizer, file, options));
  const std::vector<EncodedItem> apart = separated(items);
  uint64_t shared_rows = 0, separate = 0;
  for (const EncodedItem& item : items) {
    shared_rows += packed_rows(item);
    separate += separate_rows(item);
  }
  const auto score = [&](const std::vector<EncodedItem>& some) {
    return [&network = *model.network, &some] { return run_items(network, some, {}).map([](const auto&) {}); };
  };
  ASSAY_TRY(score(items)());  // warm
  const double tree = timed(score(items), repeats), packed = timed(score(apart), repeats);
  const double plain = timed([&] { return one_by_one(*model.network, items); }, repeats);
  fmt::print("{}: {} items, {} tokens shared, {} apart ({:.2f} x)\n", task.name, items.size(), shared_rows, separate,
             static_cast<double>(separate) / static_cast<double>(shared_rows));
  const auto line = [&](const char* name, double seconds) {
    fmt::print("  {:<42} {:7.2f} s  {:8.0f} tokens run/s {:8.0f} tokens of options/s  {:5.2f} x\n", name, seconds,
               static_cast<double>(seconds == tree ? shared_rows : separate) / seconds, static_cast<double>(separate) / seconds,
               plain / seconds);
  };
  line("shared beginning, items packed", tree);
  line("options apart, packed", packed);
  line("one option per forward", plain);
  return {};
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  CLI::App app;
  std::string model, file;
  size_t items = 100;
  int repeats = 3;
  app.add_option("model", model)->required();
  app.add_option("file", file)->required();
  app.add_option("--items", items);
  app.add_option("--repeats", repeats);
  CLI11_PARSE(app, argc, argv);
  const assay::Status done = assay::run(model, file, items, repeats);
  if (!done) fmt::print("{}\n", done.error().message);
  return done ? 0 : 1;
}
