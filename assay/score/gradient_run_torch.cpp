#include <algorithm>
#include <chrono>
#include <map>

#include "assay/base/payload.h"
#include "assay/base/text.h"
#include "assay/quant/code_move.h"
#include "assay/score/gradient_run.h"
#include "assay/score/level_gradient.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::span<const float> span_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// The windows of a matrix under one change.
class Outputs : public OutputSource {
 public:
  Outputs(const MatrixGradient& gradient, const at::Tensor& change, Compute compute, double& seconds)
      : gradient_(gradient), change_(change), compute_(compute), seconds_(seconds) {}
  Result<OutputGradients> window(size_t index) override {
    const auto begin = Clock::now();
    const GradientRows& rows = gradient_.rows[index];
    if (!packed_.defined()) packed_ = Matrix::pack(change_, compute_, rows.x.device());
    g_ = rows.g.to(at::kCPU).contiguous();
    y_ = packed_.multiply(rows.x.contiguous()).to(at::kCPU).contiguous();
    seconds_ += seconds_since(begin);
    return OutputGradients{span_of(g_), span_of(y_)};
  }

 private:
  const MatrixGradient& gradient_;
  const at::Tensor& change_;
  Compute compute_;
  double& seconds_;
  Matrix packed_;
  at::Tensor g_, y_;
};

// One score's values at the types of a request, or a single one.
using Values = std::vector<double>;

class GradientScoreReader : public GradientReader {
 public:
  GradientScoreReader(const Network& network, std::span<const std::shared_ptr<const GradientScore>> scores,
                      std::span<const CurvatureRequest> requests, const ChangeMaker& change_of, const ScoreContext& context,
                      const GradientScoreOptions& options, UnitCache& units)
      : network_(network), scores_(scores), change_of_(change_of), context_(context), options_(options), units_(units) {
    for (const CurvatureRequest& request : requests) {
      const int layer = role_of(request.tensor).layer;
      const auto is_matrix = [&](Site site) { return layer >= 0 && network.tensor_name(layer, site) == request.tensor; };
      if (is_end(request.tensor) || std::any_of(std::begin(kSites), std::end(kSites), is_matrix))
        requests_.emplace(request.tensor, &request);
    }
    run_.tables.resize(scores.size());
    for (size_t s = 0; s < scores.size(); ++s) run_.tables[s].name = std::string(scores[s]->info().name);
  }

  // Tells who takes terms what will come.
  Status expect(std::span<const CurvatureRequest> requests) {
    for (size_t s = 0; s < scores_.size(); ++s) {
      if (!is_written(s)) continue;
      std::vector<WeightedMatrix> matrices;
      for (const CurvatureRequest& request : requests) {
        if (!requests_.contains(request.tensor) || !has_value(s, request.tensor)) continue;
        const TensorInfo& info = *network_.checkpoint().find(request.tensor);
        const uint64_t columns = info.row_length();
        matrices.push_back({{request.tensor, role_of(request.tensor), info.elements() / columns, columns}, request.types});
      }
      ASSAY_TRY(options_.weights->expect(*scores_[s], matrices));
    }
    return {};
  }

  // Looks units up; false: all are there.
  Result<bool> has_work() {
    for (size_t s = 0; s < scores_.size(); ++s)
      units_.plan(static_cast<size_t>(std::ranges::count_if(requests_, [&](const auto& one) { return has_value(s, one.first); })));
    bool work = false;
    for (const auto& [tensor, request] : requests_)
      for (size_t s = 0; s < scores_.size(); ++s) {
        if (!has_value(s, tensor)) continue;
        if (is_written(s)) {
          work = true;
          continue;
        }
        ASSAY_ASSIGN(const auto payload, units_.find(unit(s, *request)));
        if (!payload) {
          work = true;
          continue;
        }
        ASSAY_TRY(take(s, *request, *payload));
      }
    return work;
  }

  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const override {
    GradientNeeds all;
    if (!requests_.contains(place.tensor)) return all;
    for (size_t s = 0; s < scores_.size(); ++s)
      if (scores_[s]->labels() == labels && is_to_do(s, place.tensor)) all = all | scores_[s]->needs();
    return all;
  }

  Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) override {
    const CurvatureRequest& request = *requests_.at(place.tensor);
    ASSAY_ASSIGN(const at::Tensor weight, network_.plain_weight(place.tensor));
    Work work{{place.tensor,
               role_of(place.tensor),
               static_cast<uint64_t>(weight.size(0)),
               static_cast<uint64_t>(weight.size(1)),
               span_of(weight),
               {}},
              gradients,
              {},
              {}};
    for (size_t s = 0; s < scores_.size(); ++s)
      if (is_to_do(s, place.tensor)) work.made[s];
    if (std::ranges::any_of(work.made, [&](const auto& one) { return scores_[one.first]->of_codes(); })) {
      const TensorInfo& info = *network_.checkpoint().find(place.tensor);
      work.stored.type = info.type;
      ASSAY_ASSIGN(work.stored.bytes, network_.checkpoint().read(info));
    }
    ASSAY_TRY(add_values(work, std::nullopt, {}));
    if (std::ranges::any_of(work.made, [&](const auto& one) { return by_type(one.first); })) {
      for (const GgmlType type : request.types) {
        const auto begin = Clock::now();
        ASSAY_ASSIGN(const at::Tensor change, change_of_(place.tensor, type));
        run_.change_seconds += seconds_since(begin);
        ASSAY_TRY(add_values(work, type, change));
      }
    }
    for (const auto& [s, made] : work.made) ASSAY_TRY(keep(s, request, made));
    return {};
  }

  GradientScoreRun finish(std::span<const CurvatureRequest> requests, GradientLosses losses) {
    for (size_t s = 0; s < scores_.size(); ++s) {
      ScoreTable& table = run_.tables[s];
      for (const CurvatureRequest& request : requests) {
        const auto found = values_.find({s, request.tensor});
        if (found == values_.end()) continue;
        ScoreRow row{request.tensor, {request.tensor}, network_.checkpoint().find(request.tensor)->elements(), {}};
        for (size_t i = 0; i < found->second.size(); ++i)
          row.cells.push_back({by_type(s) ? std::optional(request.types[i]) : std::nullopt, found->second[i], 0});
        table.rows.push_back(std::move(row));
      }
      const size_t left_out = requests.size() - table.rows.size();
      if (scores_[s]->of_codes() && table.rows.empty()) {
        table.notes.emplace_back(kNoCodes);
        continue;  // and took no pass
      }
      const char* const why = scores_[s]->of_codes() ? "no matrix, or no codes" : "no matrix, or no outputs of their own";
      if (left_out > 0) table.notes.push_back(std::to_string(left_out) + " tensors have no value: " + why);
      if (losses.forward_seconds > 0)
        table.forward_equivalents = 1 + losses.backward_seconds[static_cast<size_t>(scores_[s]->labels())] / losses.forward_seconds;
    }
    run_.losses = std::move(losses);
    return std::move(run_);
  }

 private:
  // What is made of one matrix.
  struct Made {
    Values values;
    double seconds = 0;
  };
  struct Work {
    MatrixView view;
    const MatrixGradients& gradients;
    std::map<size_t, Made> made;  // by score
    StoredMatrix stored;          // where a score is about codes
  };
  bool is_end(const std::string& tensor) const { return tensor == network_.head_tensor() || tensor == network_.embedding_tensor(); }
  bool has_value(size_t s, const std::string& tensor) const {
    if (is_end(tensor) && scores_[s]->needs().rows) return false;
    return !scores_[s]->of_codes() || code_move_kind(network_.checkpoint().find(tensor)->type) != CodeMoveKind::kNone;
  }
  bool is_to_do(size_t s, const std::string& tensor) const { return has_value(s, tensor) && !values_.contains({s, tensor}); }
  bool is_written(size_t s) const { return options_.weights != nullptr && options_.weights->wants(*scores_[s]); }
  bool by_type(size_t s) const { return scores_[s]->info().by_type; }

  // One value of every score that goes by types, or of those that do not.
  Status add_values(Work& work, std::optional<GgmlType> type, const at::Tensor& change) {
    for (auto& [s, made] : work.made) {
      if (by_type(s) != type.has_value()) continue;
      const auto begin = Clock::now();
      const MatrixGradient& gradient = work.gradients[scores_[s]->labels()];
      Outputs outputs(gradient, change, options_.product_compute, run_.product_seconds);
      const GradientView seen{gradient.windows, gradient.scored, span_of(gradient.mean), span_of(gradient.squares), &outputs, &work.stored};
      ASSAY_ASSIGN(const double value, scores_[s]->value(work.view, seen, type, span_of(change), context_));
      made.values.push_back(value);
      if (is_written(s)) {
        terms_.resize(static_cast<size_t>(work.view.elements()));
        scores_[s]->weight_values(work.view, seen, span_of(change), context_, terms_);
        ASSAY_TRY(options_.weights->take(*scores_[s], type, std::string(work.view.tensor), terms_));
      }
      const double spent = seconds_since(begin);
      made.seconds += spent;
      run_.tables[s].seconds += spent;
    }
    return {};
  }

  std::string unit(size_t s, const CurvatureRequest& request) const {
    std::string name = "gradient ";
    name.append(scores_[s]->info().name).append(" ").append(request.tensor);
    if (by_type(s))
      for (const GgmlType type : request.types) name.append(" ").append(find_type(type)->name);
    return name;
  }

  Status keep(size_t s, const CurvatureRequest& request, const Made& made) {
    PayloadWriter writer;
    writer.add(std::span<const double>(made.values), request.tensor);
    ASSAY_ASSIGN(std::string payload, std::move(writer).finish());
    ASSAY_TRY(take(s, request, payload));
    return units_.keep(unit(s, request), std::move(payload), made.seconds);
  }

  Status take(size_t s, const CurvatureRequest& request, const std::string& payload) {
    PayloadReader reader(payload);
    Values values = reader.reals();
    ASSAY_TRY(reader.finish());
    const size_t wanted = by_type(s) ? request.types.size() : 1;
    if (values.size() != wanted)
      return fail(ErrorCode::kBadInput, {"unit '" + unit(s, request) + "'", "holds " + std::to_string(values.size()) + " values",
                                         std::to_string(wanted) + " are needed", ""});
    values_[{s, request.tensor}] = std::move(values);
    return {};
  }

  const Network& network_;
  std::span<const std::shared_ptr<const GradientScore>> scores_;
  const ChangeMaker& change_of_;
  const ScoreContext& context_;
  const GradientScoreOptions& options_;
  UnitCache& units_;
  std::map<std::string, const CurvatureRequest*> requests_;
  std::map<std::pair<size_t, std::string>, Values> values_;  // by score and tensor
  std::vector<float> terms_;
  GradientScoreRun run_;
};

}  // namespace

Result<GradientScoreRun> run_gradient_scores(const Network& network, std::span<const Window> windows,
                                             std::span<const std::shared_ptr<const GradientScore>> scores,
                                             std::span<const CurvatureRequest> requests, const ChangeMaker& change_of,
                                             const ScoreContext& context, const GradientScoreOptions& options, Progress& progress,
                                             UnitCache& units) {
  GradientScoreReader reader(network, scores, requests, change_of, context, options, units);
  ASSAY_TRY(reader.expect(requests));
  ASSAY_ASSIGN(const bool work, reader.has_work());
  GradientLosses losses;
  if (work && !units.only_finished()) {
    GradientReader* const readers[] = {&reader};
    ASSAY_ASSIGN(losses, gradient_pass(network, windows, readers, options.pass, progress));
  }
  return reader.finish(requests, std::move(losses));
}

}  // namespace assay
