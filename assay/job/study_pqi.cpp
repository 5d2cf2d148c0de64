#include "assay/job/study_pqi.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <set>

#include "assay/file/tensor_role.h"
#include "assay/job/pqi_runner.h"
#include "assay/job/study_criteria.h"
#include "assay/probe/statistics.h"
#include "assay/study/pqi_analysis.h"

namespace assay {
namespace {

constexpr double kLambdas[] = {1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.25, 0.5, 1};  // the source's (Table 2), and up to the whole step

class PqiStudy {
 public:
  PqiStudy(PqiRunner& runner, PqiConfig config, Progress& progress)
      : runner_(runner), config_(std::move(config)), progress_(progress), documents_(runner.documents()) {}

  Result<StudyPqiResult> run() {
    ASSAY_ASSIGN(layers_, layers_of(config_.layers, runner_.layers()));
    describe();
    ASSAY_TRY(register_criteria());
    for (const GgmlType type : config_.types) {
      const auto begin = std::chrono::steady_clock::now();
      ASSAY_TRY(runner_.quantize(type, layers_, result_.notes));
      ASSAY_ASSIGN(PqiOfType one, of_type(type));
      result_.types.push_back(std::move(one));
      out_.stage_seconds.emplace_back(find_type(type)->name, seconds_since(begin));
    }
    ASSAY_TRY(cost());
    assay::conclude(result_, config_.types, config_.criteria);
    out_.result = std::move(result_);
    out_.units = runner_.store().counts();
    return std::move(out_);
  }

 private:
  static double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  void describe() {
    const ProbeSet& set = runner_.set();
    result_.tokens_scored = set.tokens_scored;
    result_.windows = set.windows.size();
    result_.documents = set.documents;
    std::vector<WindowSums> windows(documents_.size());
    for (size_t w = 0; w < windows.size(); ++w) windows[w].document = documents_[w];
    result_.interval = bootstrap_unit(windows);
    result_.rule = name_of(config_.rules[0]);
    result_.intervals = config_.intervals;
  }

  Status register_criteria() {
    std::string types;
    for (const GgmlType type : config_.types) types += find_type(type)->name + std::string(",");
    UnitKey key = runner_.store().key("pqi criteria").add("windows", fingerprint(runner_.set().windows)).add("types", types);
    return assay::register_criteria(runner_.store(), std::move(key),
                                    config_.criteria.empty() ? default_pqi_criteria(config_.types) : config_.criteria, result_);
  }

  Status stop_if_asked() const {
    if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "study pqi: interrupted between stages");
    return {};
  }

  Result<PqiOfType> of_type(GgmlType type) {
    PqiOfType one;
    one.type = find_type(type)->name;
    ASSAY_ASSIGN(const PqiIntegral integral, runner_.integral(config_.rules[0], config_.intervals, config_.seed));
    one.matrices = integral.matrices;
    one.coverage = integral.coverage;
    one.agreements = integral.agreements;
    one.sampled = integral.sampled;
    for (const PqiMatrix& matrix : one.matrices) one.elements += matrix.elements;
    ASSAY_TRY(orders(integral, one));
    ASSAY_TRY(closure(integral, one));
    ASSAY_TRY(interpolation(one));
    return one;
  }

  Estimate mean(const std::vector<double>& values) const { return window_mean(values, documents_, config_.seed); }

  // Table 1.
  Status orders(const PqiIntegral& integral, PqiOfType& one) {
    std::set<int> with;
    for (const PqiMatrix& matrix : one.matrices) with.insert(matrix.layer);
    progress_.stage("orders " + one.type, with.size() + 1);
    ASSAY_ASSIGN(all_, runner_.orders(-1));
    one.all = row_of("all", -1, all_, integral);
    one.loss_before = all_.loss_before;
    one.loss_after = all_.loss_after;
    for (const int layer : with) {
      progress_.update(one.layers.size() + 1);
      ASSAY_TRY(stop_if_asked());
      ASSAY_ASSIGN(const PqiStepOrders alone, runner_.orders(layer));
      one.layers.push_back(row_of("blk." + std::to_string(layer), layer, alone, integral));
    }
    return {};
  }

  PqiOrders row_of(std::string name, int layer, const PqiStepOrders& orders, const PqiIntegral& integral) const {
    PqiOrders row;
    row.name = std::move(name);
    row.elements = orders.elements;
    row.first = mean(orders.first);
    row.second = mean(orders.second);
    row.second_error = orders.second_error;
    row.change = mean(orders.change);
    std::vector<double> both(orders.first.size());
    for (size_t w = 0; w < both.size(); ++w) both[w] = orders.first[w] + orders.second[w];
    row.share = window_ratio(both, orders.change, documents_, config_.seed);
    for (size_t m = 0; m < integral.matrices.size(); ++m) {
      if (layer >= 0 && integral.matrices[m].layer != layer) continue;
      row.fisher += integral.fishers[m];
      row.contribution += integral.matrices[m].contribution;
    }
    return row;
  }

  // Table 3: every rule and N from one set of points; those of the integral are there already.
  Status closure(const PqiIntegral& integral, PqiOfType& one) {
    std::map<double, PqiSlope> slopes;
    for (const PqiSlope& slope : integral.slopes) slopes[slope.t] = slope;
    std::set<double> missing;
    for (const PathRule rule : config_.rules)
      for (const int n : closure_intervals(rule, config_.intervals))
        for (const PathNode& node : path_nodes(rule, n))
          if (!slopes.contains(node.t)) missing.insert(node.t);
    progress_.stage("closure " + one.type, missing.size());
    uint64_t done = 0;
    for (const double t : missing) {
      ASSAY_TRY(stop_if_asked());
      ASSAY_ASSIGN(slopes[t], runner_.slope(t));
      progress_.update(++done);
    }
    for (const PathRule rule : config_.rules)
      for (const int n : closure_intervals(rule, config_.intervals)) {
        const std::vector<PathNode> nodes = path_nodes(rule, n);
        std::vector<double> predicted(documents_.size()), error(documents_.size());
        for (const PathNode& node : nodes)
          for (size_t w = 0; w < predicted.size(); ++w) predicted[w] += node.weight * slopes.at(node.t).windows[w];
        for (size_t w = 0; w < error.size(); ++w) error[w] = predicted[w] - all_.change[w];
        one.closure.push_back({std::string(name_of(rule)), n, nodes.size(), mean(predicted), mean(error)});
      }
    return {};
  }

  // Table 2.
  Status interpolation(PqiOfType& one) {
    progress_.stage("interpolation " + one.type, std::size(kLambdas));
    ASSAY_ASSIGN(const std::vector<double> before, runner_.losses(0));
    for (const double lambda : kLambdas) {
      ASSAY_TRY(stop_if_asked());
      ASSAY_ASSIGN(std::vector<double> changes, runner_.losses(lambda));
      for (size_t w = 0; w < changes.size(); ++w) changes[w] -= before[w];
      PqiStep step;
      step.lambda = lambda;
      step.change = mean(changes);
      step.first = lambda * one.all.first.value;
      step.second = lambda * lambda * one.all.second.value;
      step.curvature = curvature_of(changes, all_.first, lambda, documents_, config_.seed);
      one.steps.push_back(step);
      progress_.update(one.steps.size());
    }
    return {};
  }

  // Table 11: one gradient of 1, 2, 4, ... and all windows, along the last type's step.
  Status cost() {
    const auto begin = std::chrono::steady_clock::now();
    std::set<size_t> counts = {documents_.size()};
    for (size_t n = 1; n < documents_.size(); n *= 2) counts.insert(n);
    progress_.stage("cost", counts.size());
    for (const size_t count : counts) {
      ASSAY_TRY(stop_if_asked());
      ASSAY_ASSIGN(const PqiCost cost, runner_.cost(count));
      out_.cost.push_back(cost);
      progress_.update(out_.cost.size());
    }
    out_.stage_seconds.emplace_back("cost", seconds_since(begin));
    return {};
  }

  PqiRunner& runner_;
  PqiConfig config_;
  Progress& progress_;
  std::vector<uint32_t> documents_;
  std::vector<int> layers_;
  PqiStepOrders all_;  // of the type at hand
  PqiStudyResult result_;
  StudyPqiResult out_;
};

}  // namespace

Result<StudyPqiResult> study_pqi(const StudyPqiOptions& options, const RunSettings& settings, Progress& progress) {
  const PqiDefaults defaults = pqi_defaults(options.quick);
  PqiConfig config = options.config;
  if (config.types.empty()) config.types = defaults.types;
  if (config.intervals == 0) config.intervals = defaults.intervals;
  if (config.rules.empty()) config.rules.assign(std::begin(kPathRules), std::end(kPathRules));
  TextInput text = options.text;
  if (text.windows.chunks == 0 && text.windows.max_tokens == 0) text.windows.chunks = defaults.windows;
  ASSAY_ASSIGN(const std::unique_ptr<PqiRunner> runner, PqiRunner::open(options.model, text, settings, progress));
  return PqiStudy(*runner, std::move(config), progress).run();
}

}  // namespace assay
