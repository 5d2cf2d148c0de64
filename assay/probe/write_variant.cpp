#include "assay/probe/write_variant.h"

#include <algorithm>
#include <map>

#include "assay/base/text.h"
#include "assay/file/block_order.h"
#include "assay/file/gguf.h"
#include "assay/file/tensor_role.h"
#include "assay/probe/check_variant.h"
#include "assay/probe/schedule.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

using Part = ScheduleEdit::Part;

// A tensor of the file and what it is made from.
struct Target {
  TensorInfo info;  // name and type as in the file
  const TensorInfo* source = nullptr;
  bool zero = false;
};

Status check_writable(const Variant& variant, std::span<const Step> steps) {
  const auto refuse = [&](std::string what, std::string found) {
    return fail(ErrorCode::kUnsupported, {"variant '" + printable(variant.name) + "': " + std::move(what), std::move(found),
                                          "a GGUF file holds weights, blocks and metadata", ""});
  };
  if (!variant.attention.empty()) return refuse("attention[0]", "is a rule of attention, which no file can hold");
  if (!variant.residual.empty()) return refuse("residual[0]", "is a patch of the residual stream, which no file can hold");
  for (const Step& step : steps)
    if (step.gamma != 1)
      return refuse("schedule", "runs block " + std::to_string(step.block) + " with a gamma other than 1, which no file can hold");
  return {};
}

// What a half adds to the stream comes out of this matrix, and its bias.
bool ends_half(const TensorRole& role, Part half) { return role.role == (half == Part::kAttention ? Role::kAttnOutput : Role::kFfnDown); }

class Writer {
 public:
  Writer(const Checkpoint& checkpoint, const Hyper& hyper, const Variant& variant, const WriteVariantOptions& options,
         std::vector<Step> steps)
      : checkpoint_(checkpoint),
        variant_(variant),
        options_(options),
        source_{checkpoint, hyper, options.imatrix, options.threads},
        steps_(std::move(steps)) {}

  // Everything that can be known before a byte is written.
  Status plan() {
    for (const WeightEdit& edit : variant_.weights) edits_[edit.tensor].push_back(edit);
    for (const auto& [name, edits] : edits_) {
      ASSAY_ASSIGN(plans_[name], plan_edits(edits, *checkpoint_.find(name), files_));
    }
    place_tensors();
    make_metadata();
    std::vector<TensorInfo> infos = tensors();
    for (TensorInfo& info : infos) {
      ASSAY_ASSIGN(info.bytes, tensor_bytes(info.type, std::span(info.dims).first(info.n_dims), info.name));
    }
    const bool has_output = std::any_of(infos.begin(), infos.end(), [](const TensorInfo& info) { return info.name == "output.weight"; });
    ASSAY_ASSIGN(const Hyper hyper, parse_hyper(metadata_, has_output));
    return check_tensors(hyper, infos);
  }

  Result<WrittenVariant> write(const std::string& path, Progress& progress) {
    GgufWriteOptions options{options_.force, options_.inputs};
    for (const std::string& input : checkpoint_.paths()) options.inputs.push_back(input);
    for (const std::string& file : files_of(variant_)) options.inputs.push_back(file);
    for (const WeightEdit& edit : variant_.weights) {
      if (edit.action != WeightEdit::Action::kFile) continue;
      ASSAY_ASSIGN(const auto other, files_.model(edit.file));  // a directory's files, all parts of a split
      for (const std::string& file : other->paths()) options.inputs.push_back(file);
    }
    WrittenVariant written;
    for (const Step& step : steps_) written.blocks.push_back(step.block);
    size_t next = 0;
    const auto fill = [&](const TensorInfo&, std::span<std::byte> out) { return store(targets_[next++], out, written.tensors); };
    ASSAY_ASSIGN(const GgufLayout layout, write_gguf(path, metadata_, tensors(), fill, options, progress));
    written.file_bytes = layout.file_bytes;
    written.tensor_count = layout.tensors.size();
    return written;
  }

 private:
  std::vector<TensorInfo> tensors() const {
    std::vector<TensorInfo> infos;
    for (const Target& target : targets_) infos.push_back(target.info);
    return infos;
  }

  void add(const TensorInfo& source, std::string name, bool zero) {
    Target target{source, &source, zero};
    target.info.name = std::move(name);
    target.info.part = 0;
    if (const auto plan = plans_.find(source.name); plan != plans_.end() && !zero) target.info.type = plan->second.type;
    targets_.push_back(std::move(target));
  }

  void add_block(const Step& step, uint32_t number) {
    for (const TensorInfo& tensor : checkpoint_.tensors()) {
      const TensorRole role = role_of(tensor.name);
      if (role.layer != step.block) continue;
      const Part missing = step.part == Part::kAttention ? Part::kFfn : Part::kAttention;
      add(tensor, name_in_block(tensor.name, number), step.part != Part::kBlock && ends_half(role, missing));
    }
  }

  // The model's order where the schedule is the model's; else the blocks one after another where the first of them was.
  void place_tensors() {
    bool placed = false;
    for (const TensorInfo& tensor : checkpoint_.tensors()) {
      if (variant_.schedule.empty() || role_of(tensor.name).layer < 0) {
        add(tensor, tensor.name, false);
        continue;
      }
      for (uint32_t i = 0; i < steps_.size() && !placed; ++i) add_block(steps_[i], i);
      placed = true;
    }
  }

  void make_metadata() {
    metadata_ = checkpoint_.metadata();
    for (const char* key : {"split.no", "split.count", "split.tensors.count"}) metadata_.erase(key);
    for (const Metadata::Entry& entry : options_.defaults)
      if (!metadata_.contains(entry.key)) metadata_.set(entry.key, entry.value);
    std::vector<uint32_t> blocks;
    for (const Step& step : steps_) blocks.push_back(static_cast<uint32_t>(step.block));
    if (!variant_.schedule.empty()) order_blocks(metadata_, blocks, static_cast<uint32_t>(source_.hyper.layers));
    metadata_.set(kVariantHashKey, MetaValue::string(hash_of(variant_)));
  }

  Status store(const Target& target, std::span<std::byte> out, std::vector<WrittenTensor>& changed) {
    const TensorInfo& source = *target.source;
    const auto plan = plans_.find(source.name);
    if (target.zero) {
      std::fill(out.begin(), out.end(), std::byte{0});
      changed.push_back({target.info.name, source.name, StoredForm::kZeroed, source.type, source.type, {}});
      return check_zero(target, out);
    }
    if (plan == plans_.end()) {
      ASSAY_ASSIGN(const std::vector<std::byte> bytes, checkpoint_.read(source));
      std::copy(bytes.begin(), bytes.end(), out.begin());
      return {};
    }
    WrittenTensor tensor{target.info.name, source.name, plan->second.form, source.type, plan->second.type, {}};
    auto counts = store_edits(edits_.at(source.name), source, plan->second, source_, files_, out);
    if (!counts) return fail(counts.error().code, "variant '" + printable(variant_.name) + "': " + counts.error().message);
    tensor.counts = *counts;
    changed.push_back(std::move(tensor));
    return {};
  }

  // Bytes of zero mean weights of zero in every type that is stored today.
  Status check_zero(const Target& target, std::span<const std::byte> bytes) const {
    std::vector<float> values(target.info.elements());
    ASSAY_TRY(decode(target.info.type, bytes, target.info.row_length(), values, options_.threads));
    if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0; })) return {};
    return fail(ErrorCode::kUnsupported, {"tensor '" + printable(target.source->name) + "'",
                                          std::string("of type ") + find_type(target.info.type)->name + " cannot be zero", "", ""});
  }

  const Checkpoint& checkpoint_;
  const Variant& variant_;
  const WriteVariantOptions& options_;
  const EditSource source_;
  const std::vector<Step> steps_;
  EditFiles files_;
  std::map<std::string, std::vector<WeightEdit>> edits_;  // by tensor
  std::map<std::string, StoredEdit> plans_;
  std::vector<Target> targets_;
  Metadata metadata_;
};

}  // namespace

Result<WrittenVariant> write_variant(const Checkpoint& checkpoint, const Variant& variant, const std::string& path,
                                     const WriteVariantOptions& options, Progress& progress) {
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint.metadata(), checkpoint.find("output.weight") != nullptr));
  ASSAY_TRY(check(variant, ModelShape(hyper, checkpoint.tensors())));
  ASSAY_ASSIGN(std::vector<Step> steps, expand_schedule(variant, hyper.layers));
  ASSAY_TRY(check_writable(variant, steps));
  Writer writer(checkpoint, hyper, variant, options, std::move(steps));
  ASSAY_TRY(writer.plan());
  return writer.write(path, progress);
}

Result<const Variant*> choose_variant(const VariantSet& set, const std::string& name) {
  if (name.empty() && set.variants.size() == 1) return &set.variants[0];
  std::vector<std::string> names;
  for (const Variant& variant : set.variants) {
    if (!name.empty() && variant.name == name) return &variant;
    names.push_back(variant.name);
  }
  if (name.empty())
    return fail(ErrorCode::kUsage, {"probe: the file", "has " + group_digits(set.variants.size()) + " variants",
                                    "--name says which one is to be written", ""});
  const std::string near = nearest_name(name, names);
  return fail(ErrorCode::kUsage, {"probe: no variant", "is called '" + printable(name) + "'",
                                  near.empty() ? "" : "the nearest name is '" + printable(near) + "'", ""});
}

}  // namespace assay
