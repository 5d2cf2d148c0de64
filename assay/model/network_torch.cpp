#include <algorithm>
#include <charconv>
#include <mutex>

#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/model/network.h"
#include "assay/model/rope_cache.h"
#include "assay/model/row_kernels.h"
#include "assay/model/weight_loader.h"

namespace assay {
namespace {

constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kOutput = "output.weight";

Result<at::Device> parse_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  int index = 0;
  if (name.starts_with("cuda:")) {
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + 5, end, index);
    if (error != std::errc{} || rest != end || index < 0 || index > 127) index = -1;
  } else if (name != "cuda") {
    index = -1;
  }
  if (index < 0) return fail(ErrorCode::kUsage, {"device '" + printable(name) + "'", "is not known", "cpu, cuda or cuda:N", ""});
  if (!at::hasCUDA())
    return fail(ErrorCode::kUsage, {"device '" + name + "'", "is not available", "a CUDA build of libtorch and a GPU are needed", ""});
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

Status check_compute(Compute compute, at::Device device) {
  if (compute != Compute::kDeviations || deviations_supported(device)) return {};
  return fail(ErrorCode::kUnsupported,
              {"compute mode 'deviations'", "is not available on this " + std::string(device.is_cpu() ? "CPU" : "device"),
               "a CPU with AVX512-BF16 is needed", "take float32 or bf16"});
}

Result<std::shared_ptr<const RopeCache>> make_rope(const Checkpoint& checkpoint, const Hyper& hyper, at::Device device) {
  if (hyper.rope == RopeKind::kNone) return std::shared_ptr<const RopeCache>();
  std::vector<float> factors;
  if (const TensorInfo* info = checkpoint.find("rope_freqs.weight")) {
    ASSAY_ASSIGN(factors, checkpoint.read_float(*info));
    if (std::any_of(factors.begin(), factors.end(), [](float factor) { return !(factor > 0); }))
      return fail(ErrorCode::kBadInput,
                  {"model: tensor 'rope_freqs.weight'", "holds a value that is not above 0", "it divides frequencies", ""});
  }
  return std::make_shared<const RopeCache>(rope_angles(hyper, factors), device);
}

}  // namespace

struct Network::State {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const Hyper> hyper;
  NetworkOptions options;
  at::Device device = at::kCPU;
  std::unique_ptr<const WeightLoader> loader;
  Embedding embedding;
  at::Tensor positions;  // [context, d]
  NormWeights output_norm;
  Matrix head;
  int kept_blocks = 0;  // the first ones stay once they are decoded; of the others only the last one used
  mutable std::mutex mutex;
  mutable std::vector<std::shared_ptr<const Block>> kept;
  mutable std::shared_ptr<const Block> passing;
  mutable int passing_layer = -1;

  // Of tokens of any shape -> [tokens, d].
  Result<at::Tensor> token_rows(const at::Tensor& tokens) const {
    const at::Tensor flat = tokens.contiguous();
    const std::span<const int32_t> ids(flat.const_data_ptr<int32_t>(), static_cast<size_t>(flat.numel()));
    const int vocab = hyper->vocab;
    const auto outside = std::find_if(ids.begin(), ids.end(), [vocab](int32_t id) { return id < 0 || id >= vocab; });
    if (outside != ids.end()) {
      return fail(ErrorCode::kMismatch,
                  {"model: token " + std::to_string(*outside), "is outside the vocabulary of " + std::to_string(vocab), "",
                   "the tokenizer belongs to another model?"});
    }
    ASSAY_ASSIGN(at::Tensor h, embedding.rows(ids));
    return h.to(device);
  }

  // Blocks are used in order, again and again: keeping the first that fit beats dropping the least recently used.
  void plan_memory() {
    std::vector<uint64_t> blocks(static_cast<size_t>(hyper->layers));
    uint64_t total = embedding.bytes() + static_cast<uint64_t>(head.bytes());
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      const int layer = role_of(tensor.name).layer;
      if (layer >= 0) blocks[static_cast<size_t>(layer)] += loader->packed_bytes(tensor);
    }
    kept.resize(blocks.size());
    uint64_t all = total;
    for (const uint64_t block : blocks) all += block;
    if (options.memory_limit == 0 || all <= options.memory_limit) {
      kept_blocks = hyper->layers;
      return;
    }
    total += *std::max_element(blocks.begin(), blocks.end());  // the passing one
    while (kept_blocks < hyper->layers && total + blocks[static_cast<size_t>(kept_blocks)] <= options.memory_limit)
      total += blocks[static_cast<size_t>(kept_blocks++)];
  }
};

Network::Network(std::unique_ptr<State> state) : state_(std::move(state)) {}
Network::~Network() = default;

Result<std::shared_ptr<const Network>> Network::load(std::shared_ptr<const Checkpoint> checkpoint, const NetworkOptions& options,
                                                     Progress& progress) {
  at::NoGradGuard no_grad;
  auto state = std::make_unique<State>();
  state->checkpoint = checkpoint;
  state->options = options;
  ASSAY_ASSIGN(state->device, parse_device(options.device));
  ASSAY_TRY(check_compute(options.compute, state->device));
  ASSAY_ASSIGN(Hyper hyper, parse_hyper(checkpoint->metadata(), checkpoint->find(kOutput) != nullptr));
  ASSAY_TRY(check_tensors(hyper, checkpoint->tensors()));
  state->hyper = std::make_shared<const Hyper>(std::move(hyper));
  ASSAY_ASSIGN(auto rope, make_rope(*checkpoint, *state->hyper, state->device));
  state->loader =
      std::make_unique<const WeightLoader>(checkpoint, state->hyper, std::move(rope), options.compute, state->device, options.threads);
  const WeightLoader& loader = *state->loader;
  ASSAY_ASSIGN(state->embedding, loader.read_embedding(kEmbedding));
  if (state->hyper->learned_positions) {
    ASSAY_ASSIGN(state->positions, loader.read_to_device("position_embd.weight"));
  }
  ASSAY_ASSIGN(state->output_norm, loader.read_norm("output_norm"));
  ASSAY_ASSIGN(state->head, loader.read_matrix(state->hyper->tied ? kEmbedding : kOutput));
  state->plan_memory();

  const int layers = state->hyper->layers, kept_blocks = state->kept_blocks;
  std::shared_ptr<const Network> network(new Network(std::move(state)));
  if (kept_blocks < layers) {
    progress.log("model: " + std::to_string(kept_blocks) + " of " + std::to_string(layers) + " blocks fit the memory limit of " +
                 format_bytes(options.memory_limit) + "; the others are decoded each time they are used");
  }
  progress.stage("load", static_cast<uint64_t>(kept_blocks));
  for (int layer = 0; layer < kept_blocks; ++layer) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "model: interrupted while loading");
    ASSAY_TRY(network->block(layer).map([](const auto&) {}));
    progress.update(static_cast<uint64_t>(layer) + 1);
  }
  return network;
}

const Hyper& Network::hyper() const { return *state_->hyper; }
const Checkpoint& Network::checkpoint() const { return *state_->checkpoint; }
Compute Network::compute() const { return state_->options.compute; }
at::Device Network::device() const { return state_->device; }
const Matrix& Network::head() const { return state_->head; }
bool Network::resident() const { return state_->kept_blocks == state_->hyper->layers; }

Result<std::shared_ptr<const Block>> Network::block(int layer) const {
  const State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (layer >= state.kept_blocks) {
    if (state.passing_layer == layer) return state.passing;
    state.passing.reset();  // before the next one takes its place
    state.passing_layer = -1;
    ASSAY_ASSIGN(state.passing, state.loader->read_block(layer));
    state.passing_layer = layer;
    return state.passing;
  }
  std::shared_ptr<const Block>& kept = state.kept[static_cast<size_t>(layer)];
  if (!kept) {
    ASSAY_ASSIGN(kept, state.loader->read_block(layer));
  }
  return kept;
}

Result<std::shared_ptr<const PlainBlock>> Network::plain_block(int layer) const { return state_->loader->read_plain_block(layer); }

Result<at::Tensor> Network::embed(const at::Tensor& tokens) const {
  at::NoGradGuard no_grad;
  ASSAY_TRY(check_context(*state_->hyper, static_cast<uint64_t>(tokens.size(1))));
  ASSAY_ASSIGN(at::Tensor h, state_->token_rows(tokens));
  if (state_->positions.defined()) h.add_(state_->positions.narrow(0, 0, tokens.size(1)).repeat({tokens.size(0), 1}));
  return h;
}

Result<at::Tensor> Network::embed_rows(const at::Tensor& tokens, const at::Tensor& positions) const {
  at::NoGradGuard no_grad;
  ASSAY_TRY(check_context(*state_->hyper, static_cast<uint64_t>(positions.max().item<int32_t>()) + 1));
  ASSAY_ASSIGN(at::Tensor h, state_->token_rows(tokens));
  if (state_->positions.defined()) h.add_(state_->positions.index_select(0, positions.to(h.device())));
  return h;
}

at::Tensor Network::final_norm(const at::Tensor& h) const { return norm(state_->output_norm, *state_->hyper, h); }

at::Tensor Network::final_norm_plain(const at::Tensor& h) const { return plain_norm(state_->output_norm, *state_->hyper, h); }

at::Tensor Network::final_norm_gradient(const at::Tensor& h, const at::Tensor& g) const {
  return norm_gradient(state_->output_norm, *state_->hyper, h, g);
}

Result<at::Tensor> Network::plain_weight(const std::string& tensor) const { return state_->loader->read(tensor); }

std::string Network::tensor_name(int layer, Site site) const { return block_tensor(layer, site); }
std::string Network::head_tensor() const { return state_->hyper->tied ? kEmbedding : kOutput; }
std::string Network::embedding_tensor() const { return kEmbedding; }

}  // namespace assay
