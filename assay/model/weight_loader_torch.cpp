#include <algorithm>
#include <atomic>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/model/weight_loader.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

size_t index_of(Site site) { return static_cast<size_t>(site); }

std::string block_stem(int layer) { return "blk." + std::to_string(layer) + "."; }

}  // namespace

std::string block_tensor(int layer, Site site) { return block_stem(layer) + std::string(name_of(site)) + ".weight"; }

Result<at::Tensor> Embedding::rows(std::span<const int32_t> ids) const {
  const uint64_t width = info_.row_length(), row_bytes = bytes_.size() / info_.rows();
  const DecodeRow decode_row = find_codec(info_.type)->decode;  // known: read_embedding checked it
  at::Tensor out = at::empty({static_cast<int64_t>(ids.size()), static_cast<int64_t>(width)}, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  std::atomic<int64_t> broken = -1;
  constexpr int64_t kGrain = 64;
  at::parallel_for(0, static_cast<int64_t>(ids.size()), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto id = static_cast<uint64_t>(ids[static_cast<size_t>(r)]);
      float* row = to + r * static_cast<int64_t>(width);
      decode_row(bytes_.data() + id * row_bytes, width, row);
      if (!std::all_of(row, row + width, [](float value) { return std::isfinite(value); })) broken.store(static_cast<int64_t>(id));
    }
  });
  if (broken.load() < 0) return out;
  return fail(ErrorCode::kBadInput, {"model: tensor '" + printable(info_.name) + "'",
                                     "holds NaN or infinite values in the row of token " + std::to_string(broken.load()),
                                     "finite weights are needed", "a broken conversion or training run?"});
}

Result<at::Tensor> WeightLoader::read(const std::string& name) const {
  const TensorInfo* info = checkpoint_->find(name);
  if (info == nullptr) return fail(ErrorCode::kNotFound, {"model: tensor '" + printable(name) + "'", "is not in the model", "", ""});
  ASSAY_ASSIGN(std::vector<float> values, checkpoint_->read_float(*info, threads_));
  auto owner = std::make_shared<std::vector<float>>(std::move(values));
  float* data = owner->data();
  at::Tensor flat = at::from_blob(data, {static_cast<int64_t>(owner->size())}, [owner](void*) mutable { owner.reset(); }, at::kFloat);
  return info->n_dims == 1 ? flat : flat.view({-1, static_cast<int64_t>(info->row_length())});
}

Result<at::Tensor> WeightLoader::read_to_device(const std::string& name) const {
  ASSAY_ASSIGN(const at::Tensor value, read(name));
  return value.to(device_);
}

Result<Matrix> WeightLoader::read_matrix(const std::string& name) const {
  ASSAY_ASSIGN(const at::Tensor plain, read(name));
  return Matrix::pack(plain, compute_, device_);
}

Result<NormWeights> WeightLoader::read_norm(const std::string& stem) const {
  NormWeights weights;
  ASSAY_ASSIGN(weights.weight, read_to_device(stem + ".weight"));
  if (hyper_->norm == NormKind::kLayer) {
    ASSAY_ASSIGN(weights.bias, read_to_device(stem + ".bias"));
  }
  return weights;
}

Result<Embedding> WeightLoader::read_embedding(const std::string& name) const {
  const TensorInfo& info = *checkpoint_->find(name);
  if (const Codec* codec = find_codec(info.type); codec == nullptr || codec->decode == nullptr) {
    return fail(ErrorCode::kUnsupported, {"model: tensor '" + printable(name) + "'", "has type " + std::string(find_type(info.type)->name),
                                          "a type that can be decoded is needed", ""});
  }
  ASSAY_ASSIGN(std::vector<std::byte> bytes, checkpoint_->read(info));
  return Embedding(info, std::move(bytes));
}

template <class Weights>
Status WeightLoader::read_common(int layer, Weights& weights) const {
  const std::string stem = block_stem(layer);
  weights.hyper = hyper_;
  weights.rope = rope_;
  ASSAY_ASSIGN(weights.attention_norm, read_norm(stem + "attn_norm"));
  ASSAY_ASSIGN(weights.ffn_norm, read_norm(stem + "ffn_norm"));
  if (hyper_->qk_norm) {
    ASSAY_ASSIGN(weights.q_norm, read_to_device(stem + "attn_q_norm.weight"));
    ASSAY_ASSIGN(weights.k_norm, read_to_device(stem + "attn_k_norm.weight"));
  }
  for (const Site site : kSites) {
    const std::string bias = stem + std::string(name_of(site)) + ".bias";
    if (!has(bias)) continue;
    ASSAY_ASSIGN(weights.biases[index_of(site)], read_to_device(bias));
  }
  return {};
}

Result<std::shared_ptr<const Block>> WeightLoader::read_block(int layer) const {
  at::NoGradGuard no_grad;
  auto weights = std::make_unique<Block::Weights>();
  ASSAY_TRY(read_common(layer, *weights));
  for (const Site site : kSites) {
    if (!has(block_tensor(layer, site))) continue;
    ASSAY_ASSIGN(weights->matrices[index_of(site)], read_matrix(block_tensor(layer, site)));
  }
  return std::make_shared<const Block>(std::move(weights));
}

Result<std::shared_ptr<const PlainBlock>> WeightLoader::read_plain_block(int layer) const {
  at::NoGradGuard no_grad;
  auto weights = std::make_unique<PlainBlock::Weights>();
  weights->layer = layer;
  ASSAY_TRY(read_common(layer, *weights));
  for (const Site site : kSites) {
    if (!has(block_tensor(layer, site))) continue;
    ASSAY_ASSIGN(weights->matrices[index_of(site)], read_to_device(block_tensor(layer, site)));
  }
  return std::make_shared<const PlainBlock>(std::move(weights));
}

}  // namespace assay
