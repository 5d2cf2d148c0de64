#include <algorithm>
#include <map>

#include "assay/base/text.h"
#include "assay/probe/collect_moments.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr size_t kBatchTokens = 2048;
constexpr int64_t kStripe = 512;  // columns of a product: only blocks on and under the diagonal are multiplied

// The sites whose inputs a block has, each with the others that read the same.
struct SharedSites {
  Site first;
  std::vector<Site> others;
};

std::vector<SharedSites> shared_sites(const Block& block) {
  std::vector<SharedSites> all;
  const auto add = [&](std::initializer_list<Site> sites) {
    std::vector<Site> present;
    std::copy_if(sites.begin(), sites.end(), std::back_inserter(present), [&](Site site) { return block.has(site); });
    if (!present.empty()) all.push_back({present[0], {present.begin() + 1, present.end()}});
  };
  add({Site::kQkv, Site::kQ, Site::kK, Site::kV});
  add({Site::kO});
  add({Site::kGate, Site::kUp});
  add({Site::kDown});
  return all;
}

// Sums of one block's inputs, by the first site that reads them.
using Sums = std::map<Site, at::Tensor>;

void add_to(Sums& sums, Site site, const at::Tensor& fresh) {
  at::Tensor& sum = sums[site];
  sum.defined() ? sum.add_(fresh) : sum = fresh.to(at::kDouble);
}

// The windows' hidden states in batches; the batches from `held` on are those held back.
struct Batches {
  std::vector<at::Tensor> hidden;
  size_t held = 0;
  uint64_t tokens = 0, held_tokens = 0;
};

// All batches through one block; sums of the inputs of `wanted`, and of the held batches alone where `held` is given.
Status pass_block(const Network& network, int layer, int64_t tokens, Batches& batches, const std::vector<Site>& wanted, Sums& sums,
                  Sums* held, Progress& progress, uint64_t& done) {
  ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network.block(layer));
  for (size_t b = 0; b < batches.hidden.size(); ++b) {
    at::Tensor& h = batches.hidden[b];
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "second moments: interrupted");
    h = block->forward(h, h.size(0) / tokens, tokens, [&](Site site, const at::Tensor& x) {
      if (std::find(wanted.begin(), wanted.end(), site) != wanted.end()) {
        const at::Tensor fresh = second_moment_sum(x.to(at::kCPU));
        add_to(sums, site, fresh);
        if (held != nullptr && b >= batches.held) add_to(*held, site, fresh);
      }
      return block->linear(site, x);
    });
    progress.update(done += static_cast<uint64_t>(h.size(0) / tokens));
  }
  return {};
}

Result<Batches> embed_batches(const Network& network, std::span<const Window> windows) {
  Batches batches;
  const size_t most = std::max<size_t>(1, kBatchTokens / windows[0].tokens.size());
  const size_t step = std::clamp<size_t>(windows.size() / 4, 1, most);  // four batches at least, one of them to be held back
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    ASSAY_ASSIGN(at::Tensor h, network.embed(token_matrix(windows.subspan(begin, std::min(step, windows.size() - begin)))));
    batches.hidden.push_back(std::move(h));
  }
  const size_t count = batches.hidden.size();
  batches.held = count - count / 4;
  for (size_t b = 0; b < count; ++b) {
    const auto tokens = static_cast<uint64_t>(batches.hidden[b].size(0));
    batches.tokens += tokens;
    if (b >= batches.held) batches.held_tokens += tokens;
  }
  return batches;
}

at::Tensor mean_of(const at::Tensor& sum, uint64_t tokens) { return (sum / static_cast<double>(tokens)).to(at::kFloat); }

}  // namespace

at::Tensor second_moment_sum(const at::Tensor& x) {
  const int64_t width = x.size(1);
  const at::Tensor columns = x.t().contiguous();  // [width, tokens]
  at::Tensor sum = at::empty({width, width});
  for (int64_t begin = 0; begin < width; begin += kStripe) {
    const int64_t count = std::min(kStripe, width - begin);
    const Matrix stripe = Matrix::pack(columns.narrow(0, begin, count).contiguous(), Compute::kFloat32);
    const at::Tensor below = stripe.multiply(columns.narrow(0, begin, width - begin).contiguous());  // rows from `begin` on
    sum.narrow(0, begin, width - begin).narrow(1, begin, count).copy_(below);
    sum.narrow(0, begin, count).narrow(1, begin, width - begin).copy_(below.t());
  }
  return sum;
}

std::vector<MomentInput> moment_inputs(const Network& network, bool process_output) {
  std::vector<MomentInput> inputs;
  const auto width_of = [&](const std::string& tensor) { return network.checkpoint().find(tensor)->row_length(); };
  for (int layer = 0; layer < network.hyper().layers; ++layer) {
    const auto block = network.block(layer);
    if (!block) continue;  // its error is met again where it is used
    for (const SharedSites& sites : shared_sites(**block)) {
      MomentInput input{network.tensor_name(layer, sites.first), {}, 0};
      input.width = width_of(input.tensor);
      for (const Site site : sites.others) input.shared.push_back(network.tensor_name(layer, site));
      inputs.push_back(std::move(input));
    }
  }
  if (process_output) inputs.push_back({network.head_tensor(), {}, width_of(network.head_tensor())});
  return inputs;
}

Status collect_moments(const Network& network, std::span<const Window> windows, std::span<const MomentInput> inputs, size_t first,
                       const MomentSink& sink, Progress& progress) {
  at::NoGradGuard no_grad;
  if (windows.empty()) return fail(ErrorCode::kUsage, "second moments: no windows");
  const int layers = network.hyper().layers;
  progress.stage("second moments", windows.size() * static_cast<uint64_t>(layers));
  ASSAY_ASSIGN(Batches batches, embed_batches(network, windows));
  uint64_t done = 0;
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<std::pair<size_t, Site>> mine;  // inputs of this block that are still to do
    std::vector<Site> wanted;
    for (size_t i = first; i < inputs.size(); ++i)
      for (const Site site : kSites)
        if (inputs[i].tensor == network.tensor_name(layer, site)) {
          mine.emplace_back(i, site);
          wanted.push_back(site);
        }
    Sums sums, held;
    const bool sample = batches.held_tokens > 0 && (layer == 0 || layer == layers / 2 || layer + 1 == layers);
    ASSAY_TRY(pass_block(network, layer, static_cast<int64_t>(windows[0].tokens.size()), batches, wanted, sums, sample ? &held : nullptr,
                         progress, done));
    for (const auto& [i, site] : mine) {
      CollectedMoment moment{mean_of(sums.at(site), batches.tokens), batches.tokens, {}, 0};
      if (sample) {
        moment.held = mean_of(held.at(site), batches.held_tokens);
        moment.held_tokens = batches.held_tokens;
      }
      ASSAY_TRY(sink(inputs[i], moment));
    }
  }
  for (size_t i = first; i < inputs.size(); ++i) {
    if (inputs[i].tensor != network.head_tensor()) continue;
    Sums sums;
    for (const at::Tensor& h : batches.hidden) add_to(sums, Site::kQ, second_moment_sum(network.final_norm(h).to(at::kCPU)));
    ASSAY_TRY(sink(inputs[i], {mean_of(sums.at(Site::kQ), batches.tokens), batches.tokens, {}, 0}));
  }
  return {};
}

}  // namespace assay
