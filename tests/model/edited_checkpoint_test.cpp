#include "assay/model/edited_checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/model/tiny_models.h"

namespace assay {
namespace {

TEST(EditedCheckpoint, EditsApplyInOrderAndTheRestStays) {
  testing_files::ScratchDirectory dir;
  const Metadata keys = tiny::metadata("llama");
  tiny::write_gguf_model(dir / "m.gguf", keys, tiny::tensors_of(*parse_hyper(keys, true)));
  const auto base = *Checkpoint::open(dir / "m.gguf");
  TensorEdits edits, more;
  const auto times = [](float factor) {
    return [factor](const TensorInfo&, std::span<float> values) -> Status {
      for (float& value : values) value *= factor;
      return {};
    };
  };
  const std::string name = "blk.0.ffn_up.weight";
  edits[name] = {times(2), [](const TensorInfo&, std::span<float> values) -> Status {
                   values[0] += 1;
                   return {};
                 }};
  more[name] = {times(4)};
  append(edits, more);
  const auto edited = edited_checkpoint(base, edits);
  ASSERT_TRUE(edited) << edited.error().message;
  const std::vector<float> before = *base->read_float(*base->find(name)), after = *(*edited)->read_float(*(*edited)->find(name));
  EXPECT_EQ(after[0], (2 * before[0] + 1) * 4);
  EXPECT_EQ(after[5], 8 * before[5]);
  EXPECT_EQ((*edited)->find(name)->type, GgmlType::kF32);
  const TensorInfo& other = *base->find("output.weight");
  EXPECT_EQ(*(*edited)->read(other), *base->read(other));

  edits["blk.9.none"] = {times(1)};
  const auto refused = edited_checkpoint(base, edits);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
}

TEST(EditedCheckpoint, AFailingEditFailsTheRead) {
  testing_files::ScratchDirectory dir;
  const Metadata keys = tiny::metadata("llama");
  tiny::write_gguf_model(dir / "m.gguf", keys, tiny::tensors_of(*parse_hyper(keys, true)));
  const auto base = *Checkpoint::open(dir / "m.gguf");
  TensorEdits edits;
  edits["output.weight"] = {[](const TensorInfo&, std::span<float>) -> Status { return fail(ErrorCode::kMismatch, "no"); }};
  const auto edited = *edited_checkpoint(base, edits);
  EXPECT_FALSE(edited->read(*edited->find("output.weight")));
}

}  // namespace
}  // namespace assay
