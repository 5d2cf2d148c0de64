#include "assay/job/unit_store.h"

#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <dlfcn.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/engine.h"
#include "assay/store/journal.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kFlushBytes = size_t{64} << 20;

std::string host_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return host;
}

}  // namespace

// The libraries' own bytes.
Result<std::string> code_version() {
  Sha256 hash;
  for (const void* inside : {reinterpret_cast<const void*>(&assay_engine), reinterpret_cast<const void*>(&sha256_hex)}) {
    Dl_info info{};
    if (dladdr(inside, &info) == 0 || info.dli_fname == nullptr) return fail(ErrorCode::kInternal, "store: this program's file is unknown");
    ASSAY_ASSIGN(const std::string one, sha256_of_file(info.dli_fname, default_cache_dir()));
    hash.add(one);
  }
  return hash.hex();
}

struct UnitStore::State {
  State(RunSettings wanted, Progress& told) : settings(std::move(wanted)), progress(told) {}

  std::optional<Journal> journal;
  std::string model, code;
  RunSettings settings;
  Progress& progress;
  std::vector<FinishedUnit> pending;
  size_t pending_bytes = 0;
  Clock::time_point flushed = Clock::now();
  UnitCounts counts;
  size_t logged = 0;  // of the journal's warnings

  void plan(uint64_t units) {
    counts.planned += units;
    tell();
  }
  void log_warnings() {
    const std::vector<std::string> warnings = journal->warnings();
    for (; logged < warnings.size(); ++logged) progress.log("warning: " + warnings[logged]);
  }
  Status flush() {
    flushed = Clock::now();
    if (!journal) return {};
    const Status written = journal->put(pending);
    if (!written) counts.made -= pending.size();  // none of them is there
    pending.clear();
    pending_bytes = 0;
    if (written) tell();
    return written;
  }
  // Of the units made, the listener hears of those that are on the disk.
  void tell() const {
    if (settings.run == nullptr || !journal) return;
    UnitCounts durable = counts;
    durable.made -= pending.size();
    durable.planned = std::max(durable.planned, counts.found + counts.made);
    settings.run->units(durable);
  }

  class Units;
};

class UnitStore::State::Units final : public UnitCache {
 public:
  Units(State& state, UnitKey key) : state_(state), key_(std::move(key)) {}

  Result<std::optional<std::string>> find(std::string_view unit) override {
    if (state_.progress.interrupted()) return fail(ErrorCode::kInterrupted, key_.kind() + ": stopped between two units");
    if (!state_.journal) return std::optional<std::string>();
    ASSAY_ASSIGN(auto payload, state_.journal->get(UnitKey(key_).add("unit", unit)));
    state_.log_warnings();
    if (payload) {
      ++state_.counts.found;
      state_.tell();
    }
    return payload;
  }

  Status keep(std::string_view unit, std::string payload, double seconds) override {
    ++state_.counts.made;
    if (!state_.journal) return {};
    state_.pending_bytes += payload.size();
    state_.pending.push_back({UnitKey(key_).add("unit", unit), std::move(payload), {seconds, host_name()}});
    const std::chrono::duration<double> waited = Clock::now() - state_.flushed;
    if (waited.count() < state_.settings.commit_seconds && state_.pending_bytes < kFlushBytes) return {};
    return state_.flush();
  }

  void plan(uint64_t units) override { state_.plan(units); }
  bool only_finished() const override { return state_.settings.only_finished; }

 private:
  State& state_;
  UnitKey key_;
};

UnitStore::UnitStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
UnitStore::UnitStore(UnitStore&&) noexcept = default;
UnitStore& UnitStore::operator=(UnitStore&&) noexcept = default;
UnitStore::~UnitStore() {
  if (state_) (void)state_->flush();  // a failing disk was reported by keep(), or costs the last second of work
}

Result<UnitStore> UnitStore::open(const RunSettings& settings, const OpenModel& model, Progress& progress) {
  auto state = std::make_unique<State>(settings, progress);
  if (settings.store.empty()) return UnitStore(std::move(state));
  ASSAY_ASSIGN(state->model, fingerprint(*model.checkpoint));
  ASSAY_ASSIGN(state->code, code_version());
  // Another build never finds these units: a directory of its own, so that what nobody uses any more can be deleted.
  const std::string directory = settings.store + "/" + state->model.substr(0, 16) + "-" + state->code.substr(0, 8);
  auto journal = Journal::open_any(directory);
  if (!journal) {
    progress.log("warning: " + journal.error().message + "; finished work is not kept");
    return UnitStore(std::move(state));
  }
  state->journal = *std::move(journal);
  state->log_warnings();
  if (settings.run != nullptr) settings.run->works_in(directory);
  return UnitStore(std::move(state));
}

UnitKey UnitStore::key(std::string_view kind) const {
  UnitKey key(kind);
  key.add("model", state_->model).add("code", state_->code).add("torch", TORCH_VERSION).add("capability", at::get_cpu_capability());
  key.add("compute", name_of(state_->settings.compute)).add("device", state_->settings.device).add("seed", state_->settings.seed);
  // On the CPU a row's result does not depend on what is beside it (docs/numerics.md).
  key.add("tile", state_->settings.device == "cpu" ? 0 : tile_memory(state_->settings));
  return key;
}

std::unique_ptr<UnitCache> UnitStore::units(UnitKey key) { return std::make_unique<State::Units>(*state_, std::move(key)); }
Status UnitStore::flush() { return state_->flush(); }
void UnitStore::plan(uint64_t units) { state_->plan(units); }
UnitCounts UnitStore::counts() const { return state_->counts; }

Result<double> noise_floor(UnitStore& store, const OpenModel& base, std::span<const Window> windows, const RunSettings& settings) {
  ASSAY_ASSIGN(const std::string files, fingerprint(*base.checkpoint));
  const auto units = store.units(store.key("noise floor").add("base", files).add("windows", fingerprint(windows)));
  units->plan(1);
  const auto payload = find_or_make(*units, "", [&]() -> Result<std::string> {
    ASSAY_ASSIGN(const double floor, measure_noise_floor(base.network, windows, settings.seed));
    PayloadWriter writer;
    writer.add(floor, "noise floor");
    return std::move(writer).finish();
  });
  if (!payload && is_left_out(*units, payload.error())) return 0.0;
  if (!payload) return fail(payload.error());
  PayloadReader reader(*payload);
  const double floor = reader.real();
  ASSAY_TRY(reader.finish());
  return floor;
}

std::unique_ptr<UnitCache> imatrix_units(UnitStore& store, std::span<const Window> windows, bool process_output) {
  return store.units(store.key("imatrix").add("windows", fingerprint(windows)).add("process output", process_output));
}

std::string fingerprint(std::span<const Window> windows) {
  Sha256 hash;
  hash.add(uint64_t{windows.size()});
  for (const Window& window : windows) {
    hash.add(uint64_t{window.tokens.size()});
    hash.add(std::as_bytes(std::span(window.tokens)));
    hash.add(std::as_bytes(std::span(window.labels)));
    hash.add(uint64_t{window.score_begin});
    hash.add(uint64_t{window.score_end});
    hash.add(uint64_t{window.document});
  }
  return hash.hex();
}

std::string fingerprint(const Imatrix& imatrix) {
  Sha256 hash;
  for (const auto& [name, entry] : imatrix.entries) {
    hash.add(uint64_t{name.size()});
    hash.add(std::string_view(name));
    hash.add(uint64_t{entry.sums.size()});
    hash.add(std::as_bytes(std::span(entry.sums)));
    hash.add(std::as_bytes(std::span(entry.counts)));
    hash.add(std::as_bytes(std::span(entry.inputs)));
  }
  return hash.hex();
}

}  // namespace assay
