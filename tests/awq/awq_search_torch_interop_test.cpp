// Scales and clips of one layer of a random model against numpy.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "assay/awq/awq_search.h"
#include "assay/probe/sweep.h"
#include "tests/awq/awq_models.h"
#include "tests/interop/python.h"

namespace assay {
namespace {

void put(const std::string& path, const at::Tensor& values) {
  const at::Tensor whole = values.contiguous();
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(whole.const_data_ptr()), static_cast<std::streamsize>(whole.nbytes()));
}

TEST(AwqInterop, OneLayersScalesAndClipsAreNumpys) {
  for (const FoldPlace place : {FoldPlace::kFfnInput, FoldPlace::kFfnDown}) {
    SCOPED_TRACE(name_of(place));
    testing_files::ScratchDirectory dir;
    const auto network = *Network::load(awq_models::write(awq_models::kFamilies[0], dir / "m.gguf"), NetworkOptions{});
    std::vector<Window> windows(8);
    for (size_t w = 0; w < windows.size(); ++w)
      for (size_t t = 0; t < 48; ++t) windows[w].tokens.push_back(static_cast<int32_t>(CounterRandom(6, w * 48 + t).next_below(24)));
    AwqOptions options;
    options.grid = {3, 16, true};
    const auto found = search_awq({*network, network->checkpoint(), fold_groups(network->hyper(), network->checkpoint().tensors()), options,
                                   grid_rounder(options.grid, 1)},
                                  windows);
    ASSERT_TRUE(found) << found.error().message;
    const auto of = [&](FoldPlace wanted) -> const AwqScale& {
      return *std::ranges::find_if(found->scales, [&](const AwqScale& s) { return s.group.layer == 1 && s.group.place == wanted; });
    };
    const AwqScale& scale = of(place);
    at::Tensor x;
    const Site site = place == FoldPlace::kFfnDown ? Site::kDown : Site::kGate;
    ASSERT_TRUE(run_blocks(*network, windows, [&](int layer, Site at, const at::Tensor& input) {
      if (layer == 1 && at == site) x = input.clone();
    }));
    put(dir / "x.f32", x);
    nlohmann::json item = {{"width", scale.group.width},
                           {"group", 16},
                           {"bits", 3},
                           {"mean", scale.mean},
                           {"losses", scale.losses},
                           {"alpha", scale.alpha},
                           {"scales", scale.scales},
                           {"readers", scale.group.readers},
                           {"clips", nlohmann::json::object()},
                           {"divided", nlohmann::json::object()}};
    for (const std::string& reader : scale.group.readers) {
      put(dir / (reader + ".f32"), *network->plain_weight(reader));
      item["clips"][reader] = found->clips.at(reader).limits;
      // up's rows were divided by down's scales before its clips were searched.
      if (reader == "blk.1.ffn_up.weight") item["divided"][reader] = of(FoldPlace::kFfnDown).scales;
    }
    std::ofstream(dir / "case.json") << item.dump();
    const auto run = interop::run_python({"numpy"}, "awq_layer.py", {dir.path().string()});
    EXPECT_EQ(run.exit_code, 0) << run.output;
    EXPECT_NE(run.output.find("21 losses"), std::string::npos) << run.output;
  }
}

}  // namespace
}  // namespace assay
