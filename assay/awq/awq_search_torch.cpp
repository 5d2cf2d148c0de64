#include <algorithm>
#include <cmath>
#include <map>

#include "assay/awq/awq_search.h"
#include "assay/awq/module_loss.h"
#include "assay/base/parallel.h"
#include "assay/base/quiet_progress.h"
#include "assay/base/text.h"
#include "assay/probe/collect_moments.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;
constexpr double kLeastScale = 1e-4, kLiteEpsilon = 1e-8;
constexpr int kClipSteps = 10, kClipGrid = 20;  // 1, 0.95, ... 0.55 of the largest

int threads_of(int threads) { return threads == 0 ? available_threads() : threads; }

// What is known of one input of a block: sums over tokens.
struct InputSums {
  at::Tensor magnitude;  // [width] double
  at::Tensor squares;    // [width, width] double
  uint64_t tokens = 0;

  void add(const at::Tensor& x) {
    const at::Tensor fresh = x.abs().sum(0, false, at::kDouble), moments = second_moment_sum(x);
    magnitude.defined() ? magnitude.add_(fresh) : magnitude = fresh;
    squares.defined() ? squares.add_(moments) : squares = moments.to(at::kDouble);
    tokens += static_cast<uint64_t>(x.size(0));
  }
  std::vector<float> mean() const {
    const at::Tensor values = (magnitude / static_cast<double>(tokens)).to(at::kFloat).contiguous();
    return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
  }
  at::Tensor moments() const { return (squares / static_cast<double>(tokens)).to(at::kFloat).contiguous(); }
};

// The first site of the block that reads the same input.
Site first_reader(const Block& block, Site site) {
  const auto first = [&](std::initializer_list<Site> sites) { return *std::ranges::find_if(sites, [&](Site s) { return block.has(s); }); };
  if (site == Site::kO || site == Site::kDown) return site;
  if (site == Site::kGate || site == Site::kUp) return first({Site::kGate, Site::kUp});
  return first({Site::kQkv, Site::kQ, Site::kK, Site::kV});
}

at::Tensor row_tensor(const std::vector<float>& values) { return at::tensor(values); }

class BlockSearch {
 public:
  BlockSearch(const AwqSearch& search, int layer, const Block& block, std::map<Site, InputSums> inputs, std::vector<BlockInputs> kept)
      : search_(search), layer_(layer), block_(block), inputs_(std::move(inputs)), kept_(std::move(kept)) {}

  Result<AwqResult> run() {
    AwqResult result;
    for (const FoldGroup& group : search_.groups) {
      if (group.layer != layer_) continue;
      ASSAY_ASSIGN(AwqScale scale, scale_of(group));
      result.scales.push_back(std::move(scale));
    }
    if (search_.options.clip) ASSAY_TRY(add_clips(result));
    return result;
  }

 private:
  Result<at::Tensor> weight(const Checkpoint& checkpoint, const std::string& tensor) const {
    const TensorInfo* info = checkpoint.find(tensor);
    ASSAY_ASSIGN(const std::vector<float> values, checkpoint.read_float(*info, threads_of(search_.options.threads)));
    return at::tensor(values).view({-1, static_cast<int64_t>(info->row_length())});
  }
  Site site_of(const std::string& tensor) const {
    return *std::ranges::find_if(kSites, [&](Site site) { return search_.network.tensor_name(layer_, site) == tensor; });
  }

  Result<AwqScale> scale_of(const FoldGroup& group) const {
    AwqScale best;
    best.group = group;
    const InputSums& sums = inputs_.at(first_reader(block_, site_of(group.readers.at(0))));
    best.mean = sums.mean();
    const at::Tensor h = sums.moments();
    std::vector<at::Tensor> weights;
    for (const std::string& reader : group.readers) {
      ASSAY_ASSIGN(at::Tensor one, weight(search_.weights, reader));
      weights.push_back(std::move(one));
    }
    const bool whole = search_.options.loss == AwqLoss::kModule && group.readers.size() > 1;
    double output = 0;
    for (const at::Tensor& one : weights) output += output_error(one, h);
    double least = 0;
    for (int step = 0; step <= search_.options.steps; ++step) {
      const double alpha = static_cast<double>(step) / search_.options.steps;
      const std::vector<float> scales = scales_at(best.mean, alpha, search_.options.lite);
      std::map<Site, at::Tensor> changes;
      double loss = 0;
      for (size_t r = 0; r < weights.size(); ++r) {
        ASSAY_ASSIGN(at::Tensor change, rounding_error(group.readers[r], weights[r], scales));
        if (!whole) loss += output_error(change, h);
        changes[site_of(group.readers[r])] = std::move(change);
      }
      loss = whole ? module_loss(block_, kept_, changes) : output > 0 ? loss / output : 0;
      if (!std::isfinite(loss))
        return fail(ErrorCode::kBadInput, {"awq: '" + group.readers[0] + "'", "has a loss that is not finite", "", "broken weights?"});
      if (step == 0 || loss < least) {
        least = loss;
        best.alpha = alpha;
        best.scales = scales;
      }
      best.losses.push_back(loss);
    }
    return best;
  }

  // round(W s) / s - W.
  Result<at::Tensor> rounding_error(const std::string& tensor, const at::Tensor& weight, const std::vector<float>& scales) const {
    at::Tensor scaled = weight.clone();
    const std::span<float> values(scaled.mutable_data_ptr<float>(), static_cast<size_t>(scaled.numel()));
    multiply_columns(values, scales);
    ASSAY_TRY(search_.rounder(tensor, scales.size(), scales, values));
    return scaled.div_(row_tensor(scales)).sub_(weight);
  }

  // Of every matrix of the block but q and k, after scaling.
  Status add_clips(AwqResult& result) const {
    ASSAY_ASSIGN(const auto folded, edited_checkpoint(std::shared_ptr<const Checkpoint>(&search_.weights, [](const Checkpoint*) {}),
                                                      folded_edits(result), search_.options.threads));
    for (const Site site : {Site::kV, Site::kO, Site::kGate, Site::kUp, Site::kDown}) {
      if (!block_.has(site)) continue;
      const std::string tensor = search_.network.tensor_name(layer_, site);
      ASSAY_ASSIGN(const at::Tensor scaled, weight(*folded, tensor));
      at::Tensor h = inputs_.at(first_reader(block_, site)).moments();
      if (const std::vector<float> scales = column_scales(result, tensor); !scales.empty()) {
        const at::Tensor s = row_tensor(scales);
        h.div_(s).div_(s.unsqueeze(1));
      }
      result.clips[tensor] = search_clips(scaled, h, search_.options.grid, search_.options.threads);
    }
    return {};
  }

  const AwqSearch& search_;
  int layer_;
  const Block& block_;
  std::map<Site, InputSums> inputs_;
  std::vector<BlockInputs> kept_;
};

// All windows through one block; sums of its inputs if `collect`, and the inputs of the first batches for losses of modules.
Status pass_block(const AwqSearch& search, const Block& block, int64_t tokens, std::vector<at::Tensor>& hidden, bool collect,
                  std::map<Site, InputSums>& sums, std::vector<BlockInputs>& kept) {
  uint64_t seen = 0;
  for (at::Tensor& h : hidden) {
    const int64_t sequences = h.size(0) / tokens;
    const bool keep = collect && search.options.loss == AwqLoss::kModule && seen < search.options.module_tokens;
    seen += static_cast<uint64_t>(h.size(0));
    BlockInputs inputs{sequences, tokens, {}, {}};
    h = block.forward(h, sequences, tokens, [&](Site site, const at::Tensor& x) {
      if (collect && first_reader(block, site) == site) {
        const at::Tensor here = x.to(at::kCPU).contiguous();
        sums[site].add(here);
        if (keep && site != Site::kO && site != Site::kDown) (site == Site::kGate || site == Site::kUp ? inputs.ffn : inputs.attention) = x;
      }
      return block.linear(site, x);
    });
    if (keep) kept.push_back(std::move(inputs));
  }
  return {};
}

}  // namespace

std::vector<FoldGroup> single_groups(const Network& network) {
  std::vector<FoldGroup> groups;
  for (int layer = 0; layer < network.hyper().layers; ++layer)
    for (const Site site : kSites)
      if (const TensorInfo* info = network.checkpoint().find(network.tensor_name(layer, site))) {
        const FoldPlace place = site == Site::kO                           ? FoldPlace::kAttentionOutput
                                : site == Site::kDown                      ? FoldPlace::kFfnDown
                                : site == Site::kGate || site == Site::kUp ? FoldPlace::kFfnInput
                                                                           : FoldPlace::kAttentionInput;
        groups.push_back({layer, place, info->row_length(), {info->name}, {}});
      }
  return groups;
}

std::vector<float> scales_at(std::span<const float> mean, double alpha, bool lite) {
  std::vector<double> raw;
  for (const float m : mean)
    raw.push_back(lite ? std::pow(static_cast<double>(m) + kLiteEpsilon, alpha)
                       : std::max(std::pow(static_cast<double>(m), alpha), kLeastScale));
  const auto [low, high] = std::ranges::minmax_element(raw);
  const double middle = std::sqrt(*low * *high);
  std::vector<float> scales;
  for (const double r : raw) scales.push_back(static_cast<float>(r / middle));
  return scales;
}

double output_error(const at::Tensor& e, const at::Tensor& h) {
  const at::Tensor rows = Matrix::pack(h, Compute::kFloat32).multiply(e.contiguous()).mul_(e).sum(1, false, at::kDouble).contiguous();
  double sum = 0;
  for (int64_t r = 0; r < rows.numel(); ++r) sum += rows.const_data_ptr<double>()[r];
  return std::max(sum, 0.0);
}

AwqClip search_clips(const at::Tensor& weight, const at::Tensor& h, const GroupGrid& grid, int threads) {
  const int64_t rows = weight.size(0), columns = weight.size(1), group = static_cast<int64_t>(grid.group);
  const int64_t groups = (columns + group - 1) / group;
  AwqClip clip;
  clip.group = grid.group;
  clip.limits.resize(static_cast<size_t>(rows * groups));
  clip.shares.resize(clip.limits.size());
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * group, width = std::min(group, columns - begin);
    const at::Tensor w = weight.narrow(1, begin, width).contiguous();
    const Matrix block = Matrix::pack(h.narrow(0, begin, width).narrow(1, begin, width).contiguous(), Compute::kFloat32);
    const at::Tensor largest = w.abs().amax(1).contiguous();
    std::vector<double> least(static_cast<size_t>(rows));
    for (int step = 0; step < kClipSteps; ++step) {
      const auto share = static_cast<float>(1 - static_cast<double>(step) / kClipGrid);
      const at::Tensor limit = (largest * share).unsqueeze(1);
      at::Tensor e = at::minimum(at::maximum(w, -limit), limit).contiguous();
      float* values = e.mutable_data_ptr<float>();
      parallel_for(static_cast<size_t>(rows), threads_of(threads), [&](size_t r) {
        round_to_grid({values + r * static_cast<size_t>(width), static_cast<size_t>(width)}, {grid.bits, grid.group, grid.zero_point});
      });
      e.sub_(w);
      const at::Tensor error = block.multiply(e).mul_(e).sum(1, false, at::kDouble).contiguous();
      for (int64_t r = 0; r < rows; ++r) {
        const double here = error.const_data_ptr<double>()[r];
        if (step > 0 && here >= least[static_cast<size_t>(r)]) continue;
        least[static_cast<size_t>(r)] = here;
        clip.shares[static_cast<size_t>(r * groups + g)] = share;
        clip.limits[static_cast<size_t>(r * groups + g)] = limit.const_data_ptr<float>()[r];
      }
    }
  }
  return clip;
}

Result<AwqResult> search_awq(const AwqSearch& search, std::span<const Window> windows, UnitCache& units, Progress& progress) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "awq: no windows to calibrate on");
  const int layers = search.network.hyper().layers;
  const auto tokens = static_cast<int64_t>(windows[0].tokens.size());
  const size_t step = std::max<size_t>(1, kBatchTokens / windows[0].tokens.size());
  std::vector<at::Tensor> hidden;
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    ASSAY_ASSIGN(at::Tensor h, search.network.embed(token_matrix(batch)));
    hidden.push_back(std::move(h));
  }
  progress.stage("AWQ search", static_cast<uint64_t>(layers));
  units.plan(static_cast<uint64_t>(layers));
  AwqResult all;
  for (int layer = 0; layer < layers; ++layer) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "awq: interrupted");
    bool passed = false;
    ASSAY_ASSIGN(const std::shared_ptr<const Block> block, search.network.block(layer));
    std::map<Site, InputSums> sums;
    std::vector<BlockInputs> kept;
    const auto work = [&]() -> Result<std::string> {
      ASSAY_TRY(pass_block(search, *block, tokens, hidden, true, sums, kept));
      passed = true;
      ASSAY_ASSIGN(const AwqResult found, BlockSearch(search, layer, *block, std::move(sums), std::move(kept)).run());
      PayloadWriter writer;
      write(writer, found);
      return std::move(writer).finish();
    };
    ASSAY_ASSIGN(const std::string payload, find_or_make(units, "blk." + std::to_string(layer), work));
    if (!passed) ASSAY_TRY(pass_block(search, *block, tokens, hidden, false, sums, kept));
    PayloadReader reader(payload);
    ASSAY_ASSIGN(AwqResult found, read_awq(reader, search.groups));
    ASSAY_TRY(reader.finish());
    std::ranges::move(found.scales, std::back_inserter(all.scales));
    all.clips.merge(found.clips);
    progress.update(static_cast<uint64_t>(layer) + 1);
  }
  return all;
}

}  // namespace assay
