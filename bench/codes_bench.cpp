// Codes chosen under second moments against nearest codes at equal bytes: every matrix of the demo model's blocks at one type, KL on
// held-out text with paired intervals, the error of the outputs, and the time against the plain encoder's.
// usage: codes_bench CALIBRATION EVALUATION [chunks of each [TYPE...]]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "assay/codes/encode_codes.h"
#include "assay/job/inputs.h"
#include "assay/probe/collect_moments.h"
#include "assay/probe/observation.h"
#include "assay/probe/statistics.h"
#include "assay/probe/sweep.h"
#include "assay/quant/codec.h"

namespace {

using namespace assay;
using T = GgmlType;
using Clock = std::chrono::steady_clock;

constexpr double kDamping = 0.003;
const std::string kModel = ASSAY_SOURCE_DIR "/demo/reference-9m";

template <class R>
auto value(R result) {
  if (!result) {
    fmt::print(stderr, "codes_bench: {}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (requires { *result; }) return std::move(*result);
}

// One encoded matrix of the model.
struct Encoded {
  at::Tensor change;
  double seconds = 0, error = 0;
};

class Bench {
 public:
  Bench(const std::string& calibration, const std::string& evaluation, uint64_t chunks) {
    apply_settings({});
    model_ = value(open_model(kModel, {}, silent_progress()));
    TextInput text{calibration, {}};
    text.windows.chunks = chunks;
    const ProbeSet seen = value(open_windows(text, model_));
    text.path = evaluation;
    set_ = value(open_windows(text, model_));
    const auto inputs = moment_inputs(*model_.network, false);
    const auto begin = Clock::now();
    value(collect_moments(*model_.network, seen.windows, inputs, 0, [&](const MomentInput& input, const CollectedMoment& moment) -> Status {
      const auto prepared = std::make_shared<const SecondMoment>(value(SecondMoment::prepare(moment.all, kDamping)));
      moments_[input.tensor] = prepared;
      for (const std::string& other : input.shared) moments_[other] = prepared;
      return {};
    }));
    fmt::print("{}: second moments of {} windows in {:.1f} s; {} on {} windows\n", calibration, seen.windows.size(),
               std::chrono::duration<double>(Clock::now() - begin).count(), evaluation, set_.windows.size());
  }

  void compare(T type) {
    if (model_.network->checkpoint().find("blk.0.attn_q.weight")->row_length() % find_type(type)->block_size != 0) return;
    std::map<Codes, Observation> observed;
    std::map<Codes, std::pair<double, double>> cost;  // seconds, error
    for (const Codes codes : {Codes::kNearest, Codes::kFeedback, Codes::kBest}) {
      ResolvedVariant variant;
      for (const auto& [tensor, moment] : moments_) {
        Encoded one = encode_one(tensor, type, *moment, codes);
        cost[codes].first += one.seconds;
        cost[codes].second += one.error;
        variant.edits.push_back(edit_of(tensor, codes, one.change));
      }
      observed.emplace(codes, measure(variant));
    }
    const Observation& nearest = observed.at(Codes::kNearest);
    std::string line = fmt::format("| {} | {:.6f} |", find_type(type)->name, nearest.mean_kl());
    for (const Codes codes : {Codes::kFeedback, Codes::kBest}) {
      const Interval change = bootstrap_pair(observed.at(codes).windows(), nearest.windows(),
                                             [](const WindowSums& a, const WindowSums& b) { return a.kl / b.kl - 1; }, {2000, 0});
      line += fmt::format(" {:+.1f} % [{:+.1f}, {:+.1f}] | {:.3f} | {:.1f} |", 100 * change.value, 100 * change.low, 100 * change.high,
                          cost[codes].second / cost[Codes::kNearest].second, cost[codes].first / cost[Codes::kNearest].first);
    }
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }

 private:
  // Nearest codes are timed as the plain encoder; their error is that of the same bytes.
  Encoded encode_one(const std::string& tensor, T type, const SecondMoment& moment, Codes codes) const {
    const at::Tensor weight = value(model_.network->plain_weight(tensor));
    const std::span<const float> values(weight.const_data_ptr<float>(), static_cast<size_t>(weight.numel()));
    const auto width = static_cast<uint64_t>(weight.size(1));
    std::vector<std::byte> bytes(values.size() / find_type(type)->block_size * find_type(type)->block_bytes);
    Encoded one;
    const auto begin = Clock::now();
    if (codes == Codes::kNearest) {
      EncodeOptions options;
      options.importance = moment.importance();
      value(encode(type, values, width, bytes, options));
      one.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      one.error = value(encode_codes(type, weight, moment, codes, 0, bytes)).final;
    } else {
      one.error = value(encode_codes(type, weight, moment, codes, 0, bytes)).final;
      one.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    }
    one.change = at::empty_like(weight);
    value(decode(type, bytes, width, {one.change.mutable_data_ptr<float>(), values.size()}));
    one.change.sub_(weight);
    return one;
  }

  ResolvedEdit edit_of(const std::string& tensor, Codes codes, const at::Tensor& change) const {
    ResolvedEdit edit;
    for (int layer = 0; layer < model_.network->hyper().layers; ++layer)
      for (const Site site : kSites)
        if (model_.network->tensor_name(layer, site) == tensor) edit.layer = layer, edit.site = site;
    edit.key = tensor + std::string(name_of(codes));
    edit.make = [change]() -> Result<at::Tensor> { return change; };
    return edit;
  }

  Observation measure(const ResolvedVariant& variant) const {
    Observation observation(false);
    const std::vector<ResolvedVariant> variants = {variant};
    const size_t batch = windows_per_batch(set_.windows[0].tokens.size());
    for (size_t first = 0; first < set_.windows.size(); first += batch) {
      const auto some = std::span(set_.windows).subspan(first, std::min(batch, set_.windows.size() - first));
      value(run_sweep(*model_.network, some, variants, SweepOptions{},
                      [&](size_t, size_t window, std::span<const PositionObservation> positions) {
                        observation.add(some[window].document, positions);
                      }));
    }
    return observation;
  }

  OpenModel model_;
  ProbeSet set_;
  std::map<std::string, std::shared_ptr<const SecondMoment>> moments_;
};

}  // namespace

int main(int count, char** arguments) {
  at::NoGradGuard no_grad;
  if (count < 3) {
    fmt::print(stderr, "usage: codes_bench CALIBRATION EVALUATION [chunks of each [TYPE...]]\n");
    return 64;
  }
  Bench bench(arguments[1], arguments[2], count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 0);
  fmt::print("| type | KL, nearest | feedback | output error | time | best | output error | time |\n|---|---|---|---|---|---|---|---|\n");
  if (count > 4) {
    for (int i = 4; i < count; ++i)
      if (const GgmlTypeInfo* info = find_type(std::string_view(arguments[i]))) bench.compare(info->type);
  } else {
    for (const Codec& codec : all_codecs())
      if (can_choose_codes(codec.info->type)) bench.compare(codec.info->type);
  }
  return 0;
}
