#include "assay/model/interpolated_checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "assay/quant/codec.h"
#include "tests/model/tiny_models.h"

namespace assay {
namespace {

const std::string kTensor = "blk.1.attn_q.weight";

std::shared_ptr<const Checkpoint> tiny_checkpoint() {
  const std::string path = testing::TempDir() + "/assay-interpolated.gguf";
  const Metadata metadata = tiny::metadata("llama");
  tiny::write_gguf_model(path, metadata, tiny::tensors_of(*parse_hyper(metadata, true)));
  const auto checkpoint = Checkpoint::open(path).value();
  std::filesystem::remove(path);
  return checkpoint;
}

StoredMatrix encoded(const Checkpoint& base, const std::string& tensor, GgmlType type) {
  const TensorInfo& info = *base.find(tensor);
  const std::vector<float> values = base.read_float(info).value();
  StoredMatrix matrix;
  matrix.type = type;
  matrix.bytes.resize(tensor_bytes(type, {info.dims.data(), info.n_dims}, tensor).value());
  EXPECT_TRUE(encode(type, values, info.row_length(), matrix.bytes));
  return matrix;
}

std::vector<float> at(const std::shared_ptr<const Checkpoint>& base, const std::shared_ptr<const StoredMatrices>& far, double t) {
  const auto checkpoint = interpolated_checkpoint(base, far, t);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const TensorInfo* info = (*checkpoint)->find(kTensor);
  EXPECT_EQ(info->type, GgmlType::kF32);
  return (*checkpoint)->read_float(*info).value();
}

TEST(InterpolatedCheckpoint, IsBothModelsAtItsEndsAndTheLineBetween) {
  const auto base = tiny_checkpoint();
  const auto far = std::make_shared<StoredMatrices>();
  far->emplace(kTensor, encoded(*base, kTensor, GgmlType::kQ4_0));
  const TensorInfo& info = *base->find(kTensor);
  const std::vector<float> w = base->read_float(info).value();
  std::vector<float> q(w.size());
  ASSERT_TRUE(decode(GgmlType::kQ4_0, far->at(kTensor).bytes, info.row_length(), q));
  EXPECT_NE(w, q);
  EXPECT_EQ(at(base, far, 0), w);
  EXPECT_EQ(at(base, far, 1), q);
  const std::vector<float> middle = at(base, far, 0.5), before = at(base, far, -0.25),
                           change = stored_change(*base, kTensor, far->at(kTensor)).value();
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(middle[i], (static_cast<double>(w[i]) + static_cast<double>(q[i])) / 2, 1e-7);
    EXPECT_NEAR(before[i], w[i] - 0.25 * (static_cast<double>(q[i]) - w[i]), 1e-7);
    EXPECT_EQ(change[i], q[i] - w[i]);
  }
  const auto checkpoint = interpolated_checkpoint(base, far, 0.5).value();
  for (const TensorInfo& tensor : base->tensors()) {
    if (tensor.name == kTensor) continue;
    EXPECT_EQ(checkpoint->read(*checkpoint->find(tensor.name)).value(), base->read(tensor).value()) << tensor.name;
  }
}

TEST(InterpolatedCheckpoint, RefusesWhatDoesNotFit) {
  const auto base = tiny_checkpoint();
  auto far = std::make_shared<StoredMatrices>();
  far->emplace(kTensor, encoded(*base, kTensor, GgmlType::kQ4_0));
  ASSERT_TRUE(interpolated_checkpoint(base, far, 0.5));  // the control
  far->at(kTensor).bytes.pop_back();
  const auto shorter = interpolated_checkpoint(base, far, 0.5);
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, ErrorCode::kMismatch);
  EXPECT_NE(shorter.error().message.find(kTensor), std::string::npos);
  far->clear();
  far->emplace("blk.9.attn_q.weight", StoredMatrix{});
  EXPECT_FALSE(interpolated_checkpoint(base, far, 0.5));
  far->clear();
  far->emplace(kTensor, encoded(*base, kTensor, GgmlType::kF32));
  const float broken = NAN;
  std::memcpy(far->at(kTensor).bytes.data() + 8, &broken, sizeof broken);
  const auto checkpoint = interpolated_checkpoint(base, far, 0.5).value();
  const auto read = checkpoint->read(*checkpoint->find(kTensor));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
}

TEST(InterpolatedCheckpoint, TakesMatricesOfAnotherModel) {
  const auto base = tiny_checkpoint();
  const std::vector<std::string> names = {kTensor, "blk.0.ffn_up.weight"};
  const auto taken = stored_matrices_of(*base, *base, names);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->size(), 2u);
  const std::vector<float> change = stored_change(*base, kTensor, taken->at(kTensor)).value();
  EXPECT_EQ(change, std::vector<float>(change.size(), 0));
  const std::vector<std::string> missing = {"blk.7.attn_q.weight"};
  EXPECT_FALSE(stored_matrices_of(*base, *base, missing));
}

}  // namespace
}  // namespace assay
