#include "assay/plan/quantize_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/plan/small_model.h"

namespace assay {
namespace {

using small_model::Shape;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using T = GgmlType;

class QuantizeJob : public testing::Test {
 protected:
  void SetUp() override { checkpoint_ = small_model::make(dir_ / "in.gguf"); }

  static TensorTypeRules rules(const std::string& text) {
    TensorTypeRules result;
    EXPECT_TRUE(result.add_text(text));
    return result;
  }
  // Types by tensor of a dry run, or the error's message under "error".
  std::map<std::string, std::string> types(const QuantizeOptions& options) {
    QuantizeOptions dry = options;
    dry.dry_run = true;
    const auto report = quantize_model(*checkpoint_, dry, "");
    if (!report) return {{"error", report.error().message}};
    std::map<std::string, std::string> result;
    for (const QuantizedTensor& tensor : report->tensors) result[tensor.name] = find_type(tensor.to)->name;
    return result;
  }

  testing_files::ScratchDirectory dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
};

TEST_F(QuantizeJob, WritesAPresetAndReportsEveryTensor) {
  QuantizeOptions options;
  options.preset = "q4_k_m";
  const auto report = quantize_model(*checkpoint_, options, dir_ / "out.gguf");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->paths, ElementsAre(dir_ / "out.gguf"));
  EXPECT_EQ(report->file_bytes, std::filesystem::file_size(dir_ / "out.gguf"));
  EXPECT_EQ(report->input_bytes, std::filesystem::file_size(dir_ / "in.gguf"));
  EXPECT_EQ(report->file_type, 15u);
  EXPECT_THAT(report->warnings, IsEmpty());
  const QuantizedTensor& first = report->tensors.front();
  EXPECT_EQ(first.name, "token_embd.weight");
  EXPECT_THAT(first.shape, ElementsAre(256u, 40u));
  EXPECT_EQ(first.from, T::kF16);
  EXPECT_EQ(first.to, T::kQ4_K);
  EXPECT_EQ(first.bytes, 40u * 144);
  const auto written = Gguf::open(dir_ / "out.gguf");
  ASSERT_TRUE(written);
  EXPECT_EQ(written->tensors().size(), report->tensors.size());
  for (const QuantizedTensor& tensor : report->tensors) EXPECT_EQ(written->find(tensor.name)->type, tensor.to);
  EXPECT_EQ(*written->metadata().find("general.file_type"), MetaValue::u32(15));
}

TEST_F(QuantizeJob, ADryRunWritesNothingAndSaysTheSame) {
  QuantizeOptions options;
  options.preset = "Q3_K_L";
  options.dry_run = true;
  const auto dry = quantize_model(*checkpoint_, options, dir_ / "out.gguf");
  ASSERT_TRUE(dry);
  EXPECT_THAT(dir_.names(), ElementsAre("in.gguf"));
  options.dry_run = false;
  const auto wet = quantize_model(*checkpoint_, options, dir_ / "out.gguf");
  ASSERT_TRUE(wet);
  EXPECT_EQ(dry->file_bytes, wet->file_bytes);
  EXPECT_EQ(dry->file_bytes, std::filesystem::file_size(dir_ / "out.gguf"));
}

TEST_F(QuantizeJob, RulesTakeOverInTheirOrder) {
  QuantizeOptions options;
  options.preset = "Q4_K_M";
  options.recipe = rules("attn_q=q2_k attn_k=q2_k token=q2_k");
  options.tensor_types = rules("attn_k=q3_k ^output=q3_k");
  options.output_tensor_type = T::kQ8_0;
  options.token_embedding_type = T::kQ5_K;
  auto seen = types(options);
  EXPECT_EQ(seen["blk.0.ffn_up.weight"], "Q4_K");
  EXPECT_EQ(seen["blk.0.attn_q.weight"], "Q2_K");
  EXPECT_EQ(seen["blk.1.attn_k.weight"], "Q3_K");
  EXPECT_EQ(seen["output.weight"], "Q8_0");
  EXPECT_EQ(seen["token_embd.weight"], "Q5_K");
  EXPECT_EQ(seen["blk.1.attn_norm.weight"], "F32");
  options.leave_output_tensor = true;
  EXPECT_EQ(types(options)["output.weight"], "F16");
}

TEST_F(QuantizeJob, TheTypesOfATiedModel) {
  // As observed from llama.cpp's library: the output type is that of the shared matrix unless the embedding's type is given.
  checkpoint_ = small_model::make(dir_ / "tied.gguf", {2, 256, 512, 40, T::kF16, true});
  QuantizeOptions options;
  options.preset = "Q4_K_M";
  EXPECT_EQ(types(options)["token_embd.weight"], "Q6_K");
  options.output_tensor_type = T::kQ8_0;
  EXPECT_EQ(types(options)["token_embd.weight"], "Q8_0");
  options.token_embedding_type = T::kQ2_K;
  EXPECT_EQ(types(options)["token_embd.weight"], "Q2_K");
  options = {};
  options.preset = "Q4_K_M";
  options.leave_output_tensor = true;
  EXPECT_EQ(types(options)["token_embd.weight"], "Q6_K");
  options.pure = true;
  EXPECT_EQ(types(options)["token_embd.weight"], "Q4_K");
}

TEST_F(QuantizeJob, ARecipeAloneLeavesTheRestAndNamesTheCommonestType) {
  QuantizeOptions options;
  options.recipe = rules("ffn_=iq4_xs");
  options.dry_run = true;
  auto report = quantize_model(*checkpoint_, options, "");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->file_type, 1u);  // most bytes are still F16
  EXPECT_THAT(report->paths, IsEmpty());
  options.recipe = rules(".*=iq4_xs");
  report = quantize_model(*checkpoint_, options, "");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->file_type, 30u);
}

TEST_F(QuantizeJob, TheImatrixIsUsedRecordedAndFiltered) {
  const Shape shape;
  Imatrix imatrix = small_model::imatrix(shape);
  imatrix.entries.erase("blk.1.attn_k.weight");
  imatrix.entries["blk.9.attn_k.weight"] = imatrix.entries["blk.0.attn_k.weight"];
  QuantizeOptions options;
  options.preset = "Q4_K_S";
  options.imatrix = &imatrix;
  options.imatrix_path = "i.gguf";
  auto report = quantize_model(*checkpoint_, options, dir_ / "with.gguf");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->warnings, ElementsAre(AllOf(HasSubstr("1 tensors have no entry"), HasSubstr("blk.1.attn_k.weight")),
                                            AllOf(HasSubstr("belong to no tensor"), HasSubstr("blk.9.attn_k.weight"))));
  const auto with = small_model::open(dir_ / "with.gguf");
  EXPECT_EQ(*with->metadata().find("quantize.imatrix.entries_count"), MetaValue::u32(12));

  options.exclude_weights = {"ffn_down", "blk.9."};
  report = quantize_model(*checkpoint_, options, dir_ / "without.gguf");
  ASSERT_TRUE(report) << report.error().message;
  const auto without = small_model::open(dir_ / "without.gguf");
  EXPECT_EQ(*without->metadata().find("quantize.imatrix.entries_count"), MetaValue::u32(9));
  const auto same = [&](const char* name) { return *with->read(*with->find(name)) == *without->read(*without->find(name)); };
  EXPECT_TRUE(same("blk.0.attn_q.weight"));
  EXPECT_FALSE(same("blk.0.ffn_down.weight"));

  options.exclude_weights = {};
  options.include_weights = {"ffn_down"};
  report = quantize_model(*checkpoint_, options, dir_ / "only.gguf");
  ASSERT_TRUE(report);
  EXPECT_THAT(report->warnings, Contains(HasSubstr("10 tensors have no entry")));
}

TEST_F(QuantizeJob, PrunedBlocksUseTheImportanceOfTheirOldNames) {
  Imatrix imatrix = small_model::imatrix({});
  for (float& sum : imatrix.entries["blk.0.attn_q.weight"].sums) sum = 1;
  QuantizeOptions options;
  options.preset = "Q4_K_S";
  options.imatrix = &imatrix;
  options.prune_layers = {0};
  options.tensor_types = rules("attn_q=q4_k");
  ASSERT_TRUE(quantize_model(*checkpoint_, options, dir_ / "out.gguf"));
  const auto written = small_model::open(dir_ / "out.gguf");
  EXPECT_EQ(*written->read(*written->find("blk.0.attn_q.weight")),
            *encode_tensor(*checkpoint_, *checkpoint_->find("blk.1.attn_q.weight"), T::kQ4_K, &imatrix, 1));
}

TEST_F(QuantizeJob, OverridesKeepTheTypeAKeyHas) {
  Metadata metadata;
  metadata.set("a.u16", {MetaType::kU16, uint64_t{3}});
  metadata.set("a.f64", {MetaType::kF64, 1.0});
  const auto parsed = [&](const char* text) { return parse_override(text, metadata); };
  EXPECT_EQ(parsed("a.u16=int:65535")->value, (MetaValue{MetaType::kU16, uint64_t{65535}}));
  EXPECT_EQ(parsed("a.u16=int:65536")->value, MetaValue::u32(65536));
  EXPECT_EQ(parsed("b=int:-1")->value, MetaValue::i32(-1));
  EXPECT_EQ(parsed("b=int:5000000000")->value, (MetaValue{MetaType::kI64, int64_t{5'000'000'000}}));
  EXPECT_EQ(parsed("b=float:0.5")->value, MetaValue::f32(0.5F));
  EXPECT_EQ(parsed("a.f64=float:0.5")->value, (MetaValue{MetaType::kF64, 0.5}));
  EXPECT_EQ(parsed("b=bool:true")->value, MetaValue::boolean(true));
  EXPECT_EQ(parsed("b=str:x=1:2")->value, MetaValue::string("x=1:2"));
  for (const char* wrong : {"b", "=int:1", "b=int", "b=int:1.5", "b=int:", "b=float:nan", "b=bool:1", "b=u32:1"})
    EXPECT_EQ(parsed(wrong).error().code, ErrorCode::kUsage) << wrong;
}

TEST_F(QuantizeJob, ConversionTypes) {
  for (const auto& [outtype, type, file_type] :
       {std::tuple{"auto", T::kF16, 1u}, {"f32", T::kF32, 0u}, {"BF16", T::kBF16, 32u}, {"q8_0", T::kQ8_0, 7u}}) {
    SCOPED_TRACE(outtype);
    const auto request = conversion_request(*checkpoint_, outtype);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->file_type, file_type);
    const auto output = plan_output(*checkpoint_, *request);
    ASSERT_TRUE(output);
    for (const TensorInfo& tensor : output->tensors) EXPECT_EQ(tensor.type, is_quantizable(tensor) ? type : T::kF32) << tensor.name;
  }
  EXPECT_EQ(conversion_request(*checkpoint_, "q4_0").error().code, ErrorCode::kUsage);
}

TEST_F(QuantizeJob, RefusesWhatCannotBeBeforeWriting) {
  const Imatrix imatrix = small_model::imatrix({});
  Imatrix foreign;
  foreign.entries["model.layers.0.q"] = imatrix.entries.begin()->second;
  const auto refused = [&](const std::function<void(QuantizeOptions&)>& change) {
    QuantizeOptions options;
    options.preset = "Q4_K_M";
    change(options);
    const auto report = quantize_model(*checkpoint_, options, dir_ / "out.gguf");
    EXPECT_THAT(dir_.names(), ElementsAre("in.gguf"));
    return report ? Error{ErrorCode::kInternal, "accepted"} : report.error();
  };
  EXPECT_EQ(refused([](auto& o) { o.preset = ""; }).code, ErrorCode::kUsage);
  EXPECT_EQ(refused([](auto& o) { o.preset = "", o.recipe = rules("attn=q4_k"), o.pure = true; }).code, ErrorCode::kUsage);
  EXPECT_EQ(refused([](auto& o) { o.tensor_types = rules("attn_x=q4_k"); }).code, ErrorCode::kMismatch);
  EXPECT_EQ(refused([](auto& o) { o.tensor_types = rules("attn_q=q2_0"); }).code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused([](auto& o) { o.exclude_weights = {"attn"}; }).code, ErrorCode::kUsage);
  EXPECT_EQ(refused([&](auto& o) { o.imatrix = &imatrix, o.exclude_weights = {"attn"}, o.include_weights = {"ffn"}; }).code,
            ErrorCode::kUsage);
  EXPECT_EQ(refused([&](auto& o) { o.imatrix = &imatrix, o.exclude_weights = {"ssm"}; }).code, ErrorCode::kUsage);
  EXPECT_EQ(refused([&](auto& o) { o.imatrix = &foreign; }).code, ErrorCode::kMismatch);
  EXPECT_EQ(refused([](auto& o) { o.prune_layers = {2}; }).code, ErrorCode::kUsage);
  EXPECT_EQ(refused([](auto& o) { o.override_kv = {"a=int:x"}; }).code, ErrorCode::kUsage);
}

TEST_F(QuantizeJob, ABrokenWeightStopsTheJobWithTheTensorsName) {
  const TensorInfo tensor = small_model::tensors({})[2];
  std::vector<float> broken = small_model::weights(tensor);
  broken[7] = std::numeric_limits<float>::quiet_NaN();
  Shape shape;
  shape.type = T::kF32;
  checkpoint_ = small_model::make(dir_ / "in.gguf", shape, {{tensor.name, broken}});
  QuantizeOptions options;
  options.preset = "Q4_K_M";
  const auto report = quantize_model(*checkpoint_, options, dir_ / "out.gguf");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(report.error().message, HasSubstr("'" + tensor.name + "' holds NaN at weight 7"));
  EXPECT_THAT(dir_.names(), ElementsAre("in.gguf"));
}

// Asks to stop after the first tensor.
class Stop : public Progress {
 public:
  void update(uint64_t, std::string_view) override { stop_ = true; }
  bool interrupted() const override { return stop_; }

 private:
  bool stop_ = false;
};

TEST_F(QuantizeJob, AnInterruptedJobLeavesNothing) {
  QuantizeOptions options;
  options.preset = "Q8_0";
  Stop stop;
  const auto report = quantize_model(*checkpoint_, options, dir_ / "out.gguf", stop);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kInterrupted);
  EXPECT_THAT(dir_.names(), ElementsAre("in.gguf"));
}

}  // namespace
}  // namespace assay
