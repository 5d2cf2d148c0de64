#include <chrono>
#include <list>
#include <map>
#include <mutex>

#include "assay/base/text.h"
#include "assay/probe/changes.h"
#include "assay/quant/codec.h"

namespace assay {

struct ChangeSource::State {
  std::shared_ptr<const Network> network;
  std::shared_ptr<const Imatrix> imatrix;
  ChangeOptions options;

  using Key = std::pair<std::string, GgmlType>;
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  mutable std::mutex mutex;
  mutable std::list<std::pair<Key, Bytes>> recent;  // newest first
  mutable std::map<Key, std::list<std::pair<Key, Bytes>>::iterator> cached;
  mutable uint64_t cached_bytes = 0;
  mutable double seconds = 0;

  Bytes find(const Key& key) const {
    const std::lock_guard lock(mutex);
    const auto found = cached.find(key);
    if (found == cached.end()) return nullptr;
    recent.splice(recent.begin(), recent, found->second);
    return found->second->second;
  }

  void keep(const Key& key, const Bytes& bytes, double spent) const {
    const std::lock_guard lock(mutex);
    seconds += spent;
    if (bytes->size() > options.cache_bytes || cached.contains(key)) return;
    recent.emplace_front(key, bytes);
    cached[key] = recent.begin();
    cached_bytes += bytes->size();
    while (cached_bytes > options.cache_bytes) {
      cached_bytes -= recent.back().second->size();
      cached.erase(recent.back().first);
      recent.pop_back();
    }
  }

  Result<Bytes> encoded(const std::string& tensor, GgmlType type, const at::Tensor& weight) const {
    const Key key{tensor, type};
    if (Bytes found = find(key)) return found;
    const auto begin = std::chrono::steady_clock::now();
    const auto row = static_cast<uint64_t>(weight.size(-1));
    const std::array<uint64_t, 2> dims = {row, static_cast<uint64_t>(weight.numel()) / row};
    ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, dims, tensor));
    auto bytes = std::make_shared<std::vector<std::byte>>(size);
    const std::vector<float> importance = imatrix ? imatrix->importance(tensor) : std::vector<float>{};
    EncodeOptions encode_options;
    encode_options.threads = options.threads;
    encode_options.importance = importance;
    auto status = encode(type, {weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel())}, row, *bytes, encode_options);
    if (!status) return fail(status.error().code, "tensor '" + printable(tensor) + "': " + status.error().message);
    keep(key, bytes, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return Bytes(bytes);
  }
};

ChangeSource::ChangeSource(std::shared_ptr<const Network> network, std::shared_ptr<const Imatrix> imatrix, ChangeOptions options)
    : state_(std::make_unique<State>()) {
  state_->network = std::move(network);
  state_->imatrix = std::move(imatrix);
  state_->options = options;
}
ChangeSource::~ChangeSource() = default;

Result<at::Tensor> ChangeSource::requantized(const std::string& tensor, GgmlType type) const {
  at::NoGradGuard no_grad;
  ASSAY_ASSIGN(const at::Tensor weight, state_->network->plain_weight(tensor));
  ASSAY_ASSIGN(const auto bytes, state_->encoded(tensor, type, weight));
  at::Tensor change = at::empty_like(weight);
  ASSAY_TRY(decode(type, *bytes, static_cast<uint64_t>(weight.size(-1)),
                   {change.mutable_data_ptr<float>(), static_cast<size_t>(change.numel())}, state_->options.threads));
  return change.sub_(weight);
}

Result<StoredMatrix> ChangeSource::stored(const std::string& tensor, GgmlType type) const {
  at::NoGradGuard no_grad;
  ASSAY_ASSIGN(const at::Tensor weight, state_->network->plain_weight(tensor));
  ASSAY_ASSIGN(const auto bytes, state_->encoded(tensor, type, weight));
  return StoredMatrix{type, *bytes};
}

Result<at::Tensor> ChangeSource::taken_from(const std::string& tensor, const Checkpoint& other) const {
  at::NoGradGuard no_grad;
  ASSAY_ASSIGN(const at::Tensor weight, state_->network->plain_weight(tensor));
  const TensorInfo* info = other.find(tensor);
  const std::string who = other.paths().empty() ? "other model" : other.paths()[0];
  if (info == nullptr) return fail(ErrorCode::kMismatch, {who, "has no tensor '" + printable(tensor) + "'", "the base model has it", ""});
  if (static_cast<int64_t>(info->row_length()) != weight.size(-1) || static_cast<int64_t>(info->elements()) != weight.numel()) {
    return fail(ErrorCode::kMismatch, {who, "has another shape for tensor '" + printable(tensor) + "'", "", "not the same model"});
  }
  ASSAY_ASSIGN(const std::vector<float> values, other.read_float(*info, state_->options.threads));
  return at::tensor(values).view(weight.sizes()).sub_(weight);
}

Result<WeightChange> ChangeSource::scaled_weight(const std::string& tensor, uint64_t index, double factor) const {
  ASSAY_ASSIGN(const at::Tensor weight, state_->network->plain_weight(tensor));
  const auto i = static_cast<int64_t>(index);
  if (i >= weight.numel()) return fail(ErrorCode::kUsage, {"tensor '" + tensor + "'", "has no weight " + group_digits(index), "", ""});
  const float value = weight.const_data_ptr<float>()[i];
  WeightChange change;
  change.sparse = {{i / weight.size(-1), i % weight.size(-1), static_cast<float>(value * factor) - value}};
  return change;
}

double ChangeSource::encoding_seconds() const {
  const std::lock_guard lock(state_->mutex);
  return state_->seconds;
}

}  // namespace assay
