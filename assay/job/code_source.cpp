#include "assay/job/code_source.h"

#include <charconv>
#include <cstring>

#include "assay/base/payload.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

// A unit: the encoded bytes and what their errors are.
struct EncodedUnit {
  std::vector<std::byte> bytes;
  CodesReport report;
};

Result<std::string> to_payload(const EncodedUnit& unit) {
  PayloadWriter writer;
  writer.add(std::string_view(reinterpret_cast<const char*>(unit.bytes.data()), unit.bytes.size()));
  for (const double error : {unit.report.nearest, unit.report.feedback, unit.report.final}) writer.add(error, "error");
  writer.add(unit.report.sweeps, "sweeps");
  return std::move(writer).finish();
}

Result<EncodedUnit> from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  EncodedUnit unit;
  const std::string bytes = reader.text();
  unit.bytes.resize(bytes.size());
  std::memcpy(unit.bytes.data(), bytes.data(), bytes.size());
  for (double* error : {&unit.report.nearest, &unit.report.feedback, &unit.report.final}) *error = reader.real();
  unit.report.sweeps = reader.real();
  ASSAY_TRY(reader.finish());
  return unit;
}

}  // namespace

Status check_moments(const MomentsFile& moments, const Checkpoint& checkpoint) {
  const auto check = [&](const std::string& tensor, uint64_t width) -> Status {
    const TensorInfo* info = checkpoint.find(tensor);
    if (info == nullptr)
      return fail(ErrorCode::kMismatch, {moments.path() + ": second moments of '" + printable(tensor) + "'",
                                         "name a tensor that the model lacks", "", "moments of another model?"});
    if (info->row_length() == width) return {};
    return fail(ErrorCode::kMismatch,
                {moments.path() + ": second moments of '" + printable(tensor) + "'", "are " + std::to_string(width) + " wide",
                 "the tensor has rows of " + std::to_string(info->row_length()), "moments of another model?"});
  };
  for (const MomentInput& input : moments.header().inputs) {
    ASSAY_TRY(check(input.tensor, input.width));
    for (const std::string& other : input.shared) ASSAY_TRY(check(other, input.width));
  }
  return {};
}

double damping_of(const MomentsFile& moments, const MomentInput& input) {
  const auto found = moments.header().provenance.find("damping." + std::string(name_of(role_of(input.tensor).role)));
  double damping = 0;
  if (found != moments.header().provenance.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), damping);
  return damping > 0 ? damping : kDefaultDamping;
}

CodeSource::CodeSource(const Checkpoint& checkpoint, const MomentsFile& moments, Codes codes, int threads, UnitCache& units,
                       uint64_t cache_bytes)
    : checkpoint_(checkpoint), moments_(moments), codes_(codes), threads_(threads), units_(units), cache_bytes_(cache_bytes) {}

bool CodeSource::covers(const std::string& tensor, GgmlType type) const {
  return codes_ != Codes::kNearest && can_choose_codes(type) && moments_.find(tensor) != nullptr;
}

Result<at::Tensor> CodeSource::weight(const std::string& tensor) const {
  const TensorInfo* info = checkpoint_.find(tensor);
  ASSAY_ASSIGN(const std::vector<float> values, checkpoint_.read_float(*info, threads_));
  return at::tensor(values).view({-1, static_cast<int64_t>(info->row_length())});
}

Result<std::shared_ptr<const SecondMoment>> CodeSource::moment_of(const MomentInput& input) {
  if (prepared_name_ == input.tensor) return prepared_;
  prepared_name_.clear();
  prepared_.reset();
  ASSAY_ASSIGN(std::vector<float> matrix, moments_.read(input));
  const auto width = static_cast<int64_t>(input.width);
  auto prepared = SecondMoment::prepare(at::from_blob(matrix.data(), {width, width}), damping_of(moments_, input));
  if (!prepared) return fail(prepared.error().code, moments_.path() + ": '" + printable(input.tensor) + "': " + prepared.error().message);
  prepared_ = std::make_shared<const SecondMoment>(std::move(*prepared));
  prepared_name_ = input.tensor;
  return prepared_;
}

Result<std::vector<std::byte>> CodeSource::encoded(const std::string& tensor, GgmlType type) {
  const auto work = [&]() -> Result<std::string> {
    ASSAY_ASSIGN(const auto moment, moment_of(*moments_.find(tensor)));
    ASSAY_ASSIGN(const at::Tensor values, weight(tensor));
    const std::array<uint64_t, 2> dims = {static_cast<uint64_t>(values.size(1)), static_cast<uint64_t>(values.size(0))};
    ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, dims, tensor));
    EncodedUnit unit;
    unit.bytes.resize(size);
    auto report = encode_codes(type, values, *moment, codes_, threads_, unit.bytes);
    if (!report) return fail(report.error().code, "tensor '" + printable(tensor) + "': " + report.error().message);
    unit.report = *report;
    return to_payload(unit);
  };
  const std::string name = tensor + ":" + std::string(find_type(type)->name);
  std::string payload;
  if (const auto found = cached_.find(name); found != cached_.end()) {
    payload = found->second;
  } else {
    ASSAY_ASSIGN(payload, find_or_make(units_, name, work));
    if (cached_bytes_ + payload.size() <= cache_bytes_) {
      cached_bytes_ += payload.size();
      cached_[name] = payload;
    }
  }
  ASSAY_ASSIGN(EncodedUnit unit, from_payload(payload));
  reports_[tensor] = unit.report;
  return std::move(unit.bytes);
}

Result<at::Tensor> CodeSource::change(const std::string& tensor, GgmlType type) {
  ASSAY_ASSIGN(const std::vector<std::byte> bytes, encoded(tensor, type));
  ASSAY_ASSIGN(const at::Tensor values, weight(tensor));
  at::Tensor decoded = at::empty_like(values);
  ASSAY_TRY(decode(type, bytes, static_cast<uint64_t>(values.size(1)),
                   {decoded.mutable_data_ptr<float>(), static_cast<size_t>(decoded.numel())}, threads_));
  return decoded.sub_(values);
}

TensorEncoder CodeSource::encoder() {
  return [this](const TensorInfo& source, GgmlType type, std::span<std::byte> out) -> Result<bool> {
    if (source.type == type || !covers(source.name, type)) return false;
    ASSAY_ASSIGN(const std::vector<std::byte> bytes, encoded(source.name, type));
    std::memcpy(out.data(), bytes.data(), out.size());
    return true;
  };
}

}  // namespace assay
