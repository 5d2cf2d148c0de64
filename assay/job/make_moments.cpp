#include "assay/job/make_moments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "assay/base/text.h"
#include "assay/codes/choose_damping.h"
#include "assay/file/tensor_role.h"
#include "assay/job/code_source.h"
#include "assay/job/unit_store.h"
#include "assay/probe/collect_moments.h"

namespace assay {
namespace {

constexpr int64_t kTrialRows = 128;

std::string role_name(const std::string& tensor) { return std::string(name_of(role_of(tensor).role)); }

std::vector<double> numbers_of(const std::string& text) {
  std::vector<double> numbers;
  for (const std::string& part : split(text, ' ')) numbers.push_back(std::strtod(part.c_str(), nullptr));
  return numbers;
}

// The moments over the tokens that were not held back.
at::Tensor seen_part(const CollectedMoment& moment) {
  const double all = static_cast<double>(moment.tokens), held = static_cast<double>(moment.held_tokens);
  return ((moment.all.to(at::kDouble) * all - moment.held.to(at::kDouble) * held) / (all - held)).to(at::kFloat);
}

void add_entries(const MomentInput& input, std::span<const float> moment, uint64_t tokens, Imatrix& imatrix) {
  ImatrixEntry entry;
  entry.columns = input.width;
  for (uint64_t j = 0; j < input.width; ++j)
    entry.sums.push_back(static_cast<float>(static_cast<double>(moment[j * input.width + j]) * static_cast<double>(tokens)));
  entry.counts = {static_cast<float>(tokens)};
  imatrix.entries[input.tensor] = entry;
  for (const std::string& other : input.shared) imatrix.entries[other] = entry;
}

}  // namespace

Result<MadeMoments> make_moments(const OpenModel& model, const ProbeSet& set, const std::string& dataset, bool process_output,
                                 const std::string& path, const OutputOptions& output, Progress& progress) {
  MadeMoments made;
  MomentsHeader header;
  header.inputs = moment_inputs(*model.network, process_output);
  header.tokens = set.windows.size() * set.ctx;
  ASSAY_ASSIGN(header.provenance["model_sha256"], fingerprint(*model.checkpoint));
  header.provenance["corpus_sha256"] = set.corpus_sha256;
  header.provenance["windows_sha256"] = fingerprint(set.windows);
  header.provenance["datasets"] = dataset;
  ASSAY_ASSIGN(MomentsWriter writer, MomentsWriter::create(path, header, output));

  const size_t first = writer.finished();
  ASSAY_TRY(collect_moments(
      *model.network, set.windows, header.inputs, first,
      [&](const MomentInput& input, const CollectedMoment& moment) -> Status {
        std::string note;
        if (moment.held.defined()) {
          ASSAY_ASSIGN(const at::Tensor weight, model.network->plain_weight(input.tensor));
          ASSAY_ASSIGN(const std::vector<double> errors,
                       damping_errors({weight.narrow(0, 0, std::min(kTrialRows, weight.size(0))), seen_part(moment), moment.held}));
          note = fmt::format("{}", fmt::join(errors, " "));
        }
        const at::Tensor all = moment.all.contiguous();
        return writer.add({all.const_data_ptr<float>(), static_cast<size_t>(all.numel())}, note);
      },
      progress));
  for (size_t i = 0; i < header.inputs.size(); ++i) {
    const MomentInput& input = header.inputs[i];
    ASSAY_ASSIGN(const std::vector<float> matrix, writer.read(i));
    add_entries(input, matrix, header.tokens, made.imatrix);
    if (input.width > header.tokens / 4 && made.warnings.size() < 4)
      made.warnings.push_back(fmt::format("{}: {} inputs, {} tokens; fewer than 4 tokens for each input overfit", input.tensor,
                                          group_digits(input.width), group_digits(header.tokens)));
  }
  std::map<std::string, std::vector<std::vector<double>>> trials;  // by role
  for (const auto& [input, note] : writer.notes()) trials[role_name(input)].push_back(numbers_of(note));
  std::map<std::string, std::string> late;
  for (const auto& [role, errors] : trials) {
    made.damping[role] = best_damping(errors);
    late["damping." + role] = fmt::format("{}", made.damping[role]);
  }
  made.imatrix.chunk_count = static_cast<uint32_t>(set.windows.size());
  made.imatrix.chunk_size = static_cast<uint32_t>(set.ctx);
  made.imatrix.datasets.push_back(dataset);
  ASSAY_TRY(writer.commit(late));
  return made;
}

Result<ScratchMoments> ScratchMoments::make(const OpenModel& model, const ProbeSet& set, const std::string& dataset,
                                            const std::string& path, Progress& progress) {
  OutputOptions output;
  output.force = true;
  ScratchMoments scratch;
  ASSAY_ASSIGN(scratch.made_, make_moments(model, set, dataset, true, path, output, progress));
  scratch.made_.imatrix.entries.erase(model.network->head_tensor());
  scratch.path_ = path;
  return scratch;
}

ScratchMoments::~ScratchMoments() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove(path_, ignored);
}

ScratchMoments::ScratchMoments(ScratchMoments&& other) noexcept : path_(std::exchange(other.path_, {})), made_(std::move(other.made_)) {}

ScratchMoments& ScratchMoments::operator=(ScratchMoments&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(made_, other.made_);
  return *this;
}

}  // namespace assay
