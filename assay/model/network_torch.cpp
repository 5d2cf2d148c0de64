#include "assay/model/network.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "assay/base/text.h"
#include "assay/model/block_weights.h"
#include "assay/model/rope_tables.h"
#include "assay/model/row_kernels.h"

namespace assay {
namespace {

constexpr Site kSites[] = {Site::kQ, Site::kK, Site::kV, Site::kQkv, Site::kO, Site::kGate, Site::kUp, Site::kDown};

std::string shape_text(std::span<const uint64_t> dims) {
  std::vector<std::string> parts;
  for (const uint64_t dim : dims) parts.push_back(std::to_string(dim));
  return "[" + join(parts, ", ") + "]";
}

// Every tensor the architecture needs is there with its shape, and nothing else.
Status check_tensors(const Checkpoint& checkpoint, const Hyper& hyper) {
  std::set<std::string> known;
  for (const TensorSpec& spec : expected_tensors(hyper)) {
    known.insert(spec.name);
    const TensorInfo* tensor = checkpoint.find(spec.name);
    if (tensor == nullptr) {
      if (!spec.required) continue;
      return fail(ErrorCode::kNotFound, {"model: tensor '" + spec.name + "'", "is missing", hyper.architecture + " needs it with shape " + shape_text(spec.dims), "incomplete file, or a wrong block_count"});
    }
    const std::span<const uint64_t> dims(tensor->dims.data(), spec.dims.size());
    const bool rest_is_one = std::all_of(tensor->dims.begin() + static_cast<ptrdiff_t>(spec.dims.size()), tensor->dims.end(), [](uint64_t d) { return d == 1; });
    if (!std::equal(dims.begin(), dims.end(), spec.dims.begin()) || !rest_is_one) {
      return fail(ErrorCode::kMismatch, {"model: tensor '" + spec.name + "'", "has shape " + shape_text({tensor->dims.data(), tensor->n_dims}), "shape " + shape_text(spec.dims) + " is needed", "metadata and tensors disagree"});
    }
  }
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (known.contains(tensor.name)) continue;
    return fail(ErrorCode::kMismatch, {"model: tensor '" + printable(tensor.name) + "'", "is not part of a " + hyper.architecture + " model of " + std::to_string(hyper.layers) + " blocks", "", "a variant of the architecture that is not supported"});
  }
  return {};
}

Result<at::Device> parse_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  if (name == "cuda" || name.starts_with("cuda:")) {
    if (!at::hasCUDA()) return fail(ErrorCode::kUsage, {"device '" + name + "'", "is not available", "a CUDA build of libtorch and a GPU are needed", "use --device cpu"});
    const int index = name == "cuda" ? 0 : std::atoi(name.c_str() + 5);
    return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  }
  return fail(ErrorCode::kUsage, {"device '" + printable(name) + "'", "is not known", "cpu, cuda or cuda:N", ""});
}

}  // namespace

struct Network::State {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const Hyper> hyper;
  std::shared_ptr<const RopeTables> rope;
  NetworkOptions options;
  at::Device device = at::kCPU;
  at::Tensor embedding, positions;  // [vocab, d] (bf16 where the file is), [context, d]
  NormWeights output_norm;
  Matrix head;
  bool resident = true;
  mutable std::mutex mutex;
  mutable std::vector<std::shared_ptr<const Block>> blocks;  // kept ones

  // As stored, float32, on the CPU: [out, in] or [n].
  Result<at::Tensor> read(const std::string& name) const {
    const TensorInfo* info = checkpoint->find(name);
    if (info == nullptr) return fail(ErrorCode::kNotFound, {"model: tensor '" + printable(name) + "'", "is not in the model", "", ""});
    ASSAY_ASSIGN(std::vector<float> values, checkpoint->read_float(*info, options.threads));
    const auto columns = static_cast<int64_t>(info->row_length());
    auto* owner = new std::vector<float>(std::move(values));
    at::Tensor flat = at::from_blob(owner->data(), {static_cast<int64_t>(owner->size())}, [owner](void*) { delete owner; }, at::kFloat);
    return info->n_dims == 1 ? flat : flat.view({-1, columns});
  }
  Result<at::Tensor> read_to_device(const std::string& name) const {
    ASSAY_ASSIGN(const at::Tensor value, read(name));
    return value.to(device);
  }
  bool has(const std::string& name) const { return checkpoint->find(name) != nullptr; }

  Result<NormWeights> read_norm(const std::string& stem) const {
    NormWeights weights;
    ASSAY_ASSIGN(weights.weight, read_to_device(stem + ".weight"));
    if (hyper->norm == NormKind::kLayer) {
      ASSAY_ASSIGN(weights.bias, read_to_device(stem + ".bias"));
    }
    return weights;
  }

  // The parts that Block and PlainBlock share.
  template <class Weights>
  Status read_common(int layer, Weights& weights) const {
    const std::string stem = "blk." + std::to_string(layer) + ".";
    weights.hyper = hyper;
    weights.rope = rope;
    ASSAY_ASSIGN(weights.attention_norm, read_norm(stem + "attn_norm"));
    ASSAY_ASSIGN(weights.ffn_norm, read_norm(stem + "ffn_norm"));
    if (hyper->qk_norm) {
      ASSAY_ASSIGN(weights.q_norm, read_to_device(stem + "attn_q_norm.weight"));
      ASSAY_ASSIGN(weights.k_norm, read_to_device(stem + "attn_k_norm.weight"));
    }
    for (const Site site : kSites) {
      const std::string bias = stem + std::string(name_of(site)) + ".bias";
      if (has(bias)) {
        ASSAY_ASSIGN(weights.biases[static_cast<size_t>(site)], read_to_device(bias));
      }
    }
    return {};
  }

  Result<std::shared_ptr<const Block>> make_block(int layer) const {
    auto weights = std::make_unique<Block::Weights>();
    ASSAY_TRY(read_common(layer, *weights));
    for (const Site site : kSites) {
      const std::string name = "blk." + std::to_string(layer) + "." + std::string(name_of(site)) + ".weight";
      if (!has(name)) continue;
      ASSAY_ASSIGN(const at::Tensor plain, read(name));
      weights->matrices[static_cast<size_t>(site)] = Matrix::pack(plain, options.compute, device);
    }
    return std::make_shared<const Block>(std::move(weights));
  }

  Status make_rope() {
    if (hyper->rope == RopeKind::kNone) return {};
    std::vector<float> factors;
    if (const TensorInfo* info = checkpoint->find("rope_freqs.weight")) {
      ASSAY_ASSIGN(factors, checkpoint->read_float(*info));
    }
    const RopeAngles angles = rope_angles(*hyper, factors);
    constexpr int kTabulated = 1 << 16;  // positions; a longer context is refused before it gets here
    const int64_t rows = std::min(hyper->context, kTabulated);
    const at::Tensor frequency = at::tensor(angles.frequency, at::kDouble);
    const at::Tensor angle = at::arange(rows, at::kDouble).unsqueeze(1) * frequency.unsqueeze(0);
    auto tables = std::make_shared<RopeTables>();
    tables->cos = (angle.cos() * angles.magnitude).to(device, at::kFloat);
    tables->sin = (angle.sin() * angles.magnitude).to(device, at::kFloat);
    rope = std::move(tables);
    return {};
  }

  // What stays in memory: everything, or only what is outside the blocks.
  void plan_memory() {
    uint64_t weights = 0;
    const uint64_t element = options.compute == Compute::kFloat32 ? 4 : 2;
    for (const TensorInfo& tensor : checkpoint->tensors()) weights += tensor.elements() * element;
    resident = options.memory_limit == 0 || weights <= options.memory_limit;
    blocks.resize(static_cast<size_t>(hyper->layers));
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
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint->metadata(), checkpoint->find("output.weight") != nullptr));
  state->hyper = std::make_shared<const Hyper>(hyper);
  ASSAY_TRY(check_tensors(*checkpoint, hyper));
  state->plan_memory();
  ASSAY_TRY(state->make_rope());
  ASSAY_ASSIGN(const at::Tensor embedding, state->read("token_embd.weight"));
  const TensorInfo* stored = checkpoint->find("token_embd.weight");
  state->embedding = stored->type == GgmlType::kBF16 ? embedding.to(at::kBFloat16) : embedding;  // exact, half the memory
  if (hyper.learned_positions) {
    ASSAY_ASSIGN(state->positions, state->read_to_device("position_embd.weight"));
  }
  ASSAY_ASSIGN(state->output_norm, state->read_norm("output_norm"));
  if (hyper.tied) {
    state->head = Matrix::pack(embedding, options.compute, state->device);
  } else {
    ASSAY_ASSIGN(const at::Tensor head, state->read("output.weight"));
    state->head = Matrix::pack(head, options.compute, state->device);
  }
  std::shared_ptr<const Network> network(new Network(std::move(state)));
  if (!network->resident()) {
    progress.log("model: weights exceed the memory limit of " + format_bytes(options.memory_limit) + "; blocks are decoded when needed");
    return network;
  }
  progress.stage("load", static_cast<uint64_t>(hyper.layers));
  for (int layer = 0; layer < hyper.layers; ++layer) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "model: interrupted while loading");
    ASSAY_ASSIGN(const auto block, network->block(layer));
    progress.update(static_cast<uint64_t>(layer) + 1);
  }
  return network;
}

const Hyper& Network::hyper() const { return *state_->hyper; }
const Checkpoint& Network::checkpoint() const { return *state_->checkpoint; }
Compute Network::compute() const { return state_->options.compute; }
at::Device Network::device() const { return state_->device; }
const Matrix& Network::head() const { return state_->head; }
bool Network::resident() const { return state_->resident; }

Result<std::shared_ptr<const Block>> Network::block(int layer) const {
  const auto index = static_cast<size_t>(layer);
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->blocks[index]) return state_->blocks[index];
  }
  ASSAY_ASSIGN(std::shared_ptr<const Block> block, state_->make_block(layer));
  const std::lock_guard lock(state_->mutex);
  if (!state_->resident) std::fill(state_->blocks.begin(), state_->blocks.end(), nullptr);  // one block at a time
  state_->blocks[index] = block;
  return block;
}

Result<std::shared_ptr<const PlainBlock>> Network::plain_block(int layer) const {
  at::NoGradGuard no_grad;
  auto weights = std::make_unique<PlainBlock::Weights>();
  weights->layer = layer;
  ASSAY_TRY(state_->read_common(layer, *weights));
  for (const Site site : kSites) {
    const std::string name = tensor_name(layer, site);
    if (state_->has(name)) {
      ASSAY_ASSIGN(weights->matrices[static_cast<size_t>(site)], state_->read_to_device(name));
    }
  }
  return std::make_shared<const PlainBlock>(std::move(weights));
}

Result<at::Tensor> Network::embed(const at::Tensor& tokens) const {
  at::NoGradGuard no_grad;
  ASSAY_TRY(check_context(*state_->hyper, static_cast<uint64_t>(tokens.size(1))));
  const at::Tensor flat = tokens.flatten();
  const int32_t* ids = flat.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (ids[i] >= 0 && ids[i] < state_->hyper->vocab) continue;
    return fail(ErrorCode::kMismatch, {"model: token " + std::to_string(ids[i]), "is outside the vocabulary of " + std::to_string(state_->hyper->vocab), "", "the tokenizer belongs to another model?"});
  }
  at::Tensor h = state_->embedding.index_select(0, flat).to(state_->device, at::kFloat);
  if (state_->positions.defined()) h.add_(state_->positions.narrow(0, 0, tokens.size(1)).repeat({tokens.size(0), 1}));
  return h;
}

at::Tensor Network::final_norm(const at::Tensor& h) const {
  const Hyper& hyper = *state_->hyper;
  const NormWeights& norm = state_->output_norm;
  return hyper.norm == NormKind::kRms ? rms_norm(h, norm.weight, hyper.norm_eps) : layer_norm(h, norm.weight, norm.bias, hyper.norm_eps);
}

at::Tensor Network::final_norm_plain(const at::Tensor& h) const { return plain_norm(state_->output_norm, *state_->hyper, h); }

Result<at::Tensor> Network::plain_weight(const std::string& tensor) const { return state_->read(tensor); }

std::string Network::tensor_name(int layer, Site site) const {
  return "blk." + std::to_string(layer) + "." + std::string(name_of(site)) + ".weight";
}
std::string Network::head_tensor() const { return state_->hyper->tied ? embedding_tensor() : "output.weight"; }
std::string Network::embedding_tensor() const { return "token_embd.weight"; }

Status check_context(const Hyper& hyper, uint64_t tokens) {
  if (tokens <= static_cast<uint64_t>(hyper.context)) return {};
  return fail(ErrorCode::kUsage, {"model: a context of " + group_digits(tokens) + " tokens", "is beyond the model's " + group_digits(static_cast<uint64_t>(hyper.context)), "choose --ctx within it", ""});
}

}  // namespace assay
