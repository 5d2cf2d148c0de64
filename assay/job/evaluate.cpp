#include "assay/job/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/parallel.h"
#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/job/compare_models.h"
#include "assay/job/unit_store.h"
#include "assay/probe/head.h"
#include "assay/probe/kld_file.h"
#include "assay/probe/kld_file_tiles.h"
#include "assay/probe/observation_payload.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

constexpr uint64_t kTileMemory = uint64_t{128} << 20;  // bytes of logits in flight

// Perplexity alone: the windows' sums with only the negative log-likelihood in them. Logits go to `save`, if any. Units: batches of
// windows.
Result<std::vector<WindowSums>> run_perplexity(const Network& network, std::span<const Window> windows, KldWriter* save, UnitCache& units,
                                               Progress& progress) {
  std::vector<WindowSums> sums;
  CompensatedSum nll_total;
  uint64_t count = 0;
  progress.stage("perplexity", windows.size());
  const size_t step = windows_per_batch(windows[0].tokens.size());
  units.plan((windows.size() + step - 1) / step);
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    const auto run = [&]() -> Result<std::string> {
      ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch));
      const std::vector<int32_t> labels = scored_labels(batch);
      std::vector<double> fresh(labels.size());
      ASSAY_TRY(head_nll(network, hidden, labels, HeadOptions{}, fresh));
      if (save != nullptr)
        ASSAY_TRY(for_each_logits_tile(network, hidden, kTileMemory,
                                       [&](uint64_t, std::span<const float> logits) { return save->write(logits); }));
      PayloadWriter writer;
      writer.add(std::span<const double>(fresh), "nll");
      return std::move(writer).finish();
    };
    const auto payload = find_or_make(units, std::to_string(begin), run);
    if (!payload && is_left_out(units, payload.error())) continue;
    if (!payload) return fail(payload.error());
    PayloadReader reader(*payload);
    const std::vector<double> nll = reader.reals();
    ASSAY_TRY(reader.finish());
    const size_t scored = batch[0].scored();
    if (nll.size() != batch.size() * scored) return fail(ErrorCode::kBadInput, "store: a finished batch has another number of positions");
    for (size_t w = 0; w < batch.size(); ++w) {
      CompensatedSum sum;
      for (size_t i = 0; i < scored; ++i) sum.add(nll[w * scored + i]);
      WindowSums window;
      window.document = batch[w].document;
      window.count = scored;
      window.nll = sum.value();
      sums.push_back(window);
      nll_total.add(window.nll);
      count += scored;
      progress.update(begin + w + 1,
                      fmt::format("[{}] ppl {:.4f}", begin + w + 1, std::exp(nll_total.value() / static_cast<double>(count))));
    }
  }
  return sums;
}

// Tokens as the text has them: the one that BOS replaced is not kept with a window, and BOS stands in for it, as it does in every run.
Result<KldWriter> create_logits_file(const EvaluateOptions& options, const OpenModel& model, const ProbeSet& set) {
  const WindowOptions& windows = options.text.windows;
  if (windows.rule != WindowRule::kLlamaCpp || windows.max_tokens > 0) {
    return fail(ErrorCode::kUsage, {"--save-all-logits", "cannot hold these windows", "--window llama.cpp without --max-tokens is needed",
                                    "the file's format has no other"});
  }
  KldHeader header;
  header.ctx = set.ctx;
  header.vocab = static_cast<uint32_t>(model.network->head().out());
  header.chunks = static_cast<uint32_t>(set.windows.size());
  for (const Window& window : set.windows) header.tokens.insert(header.tokens.end(), window.tokens.begin(), window.tokens.end());
  OutputOptions output;
  output.force = options.force;
  output.inputs = {options.model, options.text.path};
  return KldWriter::create(options.save_logits, header, output);
}

// The windows of a base-logits file, of one document since the file names none; with a text, the text's, which must be the same tokens.
Result<ProbeSet> stored_windows(const EvaluateOptions& options, const OpenModel& model, const KldReader& base) {
  const KldHeader& header = base.header();
  ASSAY_TRY(check_context(model.network->hyper(), header.ctx));
  if (header.vocab != static_cast<uint64_t>(model.network->head().out())) {
    return fail(ErrorCode::kMismatch,
                {options.stored_base, "has " + std::to_string(header.vocab) + " logits per row",
                 options.model + " has " + std::to_string(model.network->head().out()), "not the same model family?"});
  }
  ProbeSet set;
  const uint64_t chunks = options.text.windows.chunks > 0 ? std::min<uint64_t>(options.text.windows.chunks, header.chunks) : header.chunks;
  if (!options.text.path.empty()) {
    TextInput text = options.text;
    text.windows.chunks = chunks;
    ASSAY_ASSIGN(set, open_windows(text, model));
    bool same = set.ctx == header.ctx && set.windows.size() == chunks && set.windows[0].score_begin == header.score_begin();
    for (size_t w = 0; same && w < chunks; ++w)
      same = std::equal(set.windows[w].labels.begin(), set.windows[w].labels.end(),
                        header.tokens.begin() + static_cast<ptrdiff_t>(w * header.ctx + 1));
    if (!same) {
      return fail(ErrorCode::kMismatch,
                  {options.text.path, "does not give the tokens of " + options.stored_base,
                   "the same text in windows of " + std::to_string(header.ctx) + " tokens is needed",
                   "leave --text out to use the file's own tokens; llama.cpp reads special tokens in a text as plain text"});
    }
    return set;
  }
  set.ctx = header.ctx;
  set.documents = 1;
  set.tokens_scored = chunks * header.scored();
  for (uint64_t w = 0; w < chunks; ++w) {
    Window window;
    const auto begin = header.tokens.begin() + static_cast<ptrdiff_t>(w * header.ctx);
    window.tokens.assign(begin, begin + header.ctx);
    window.labels.assign(begin + 1, begin + header.ctx);
    if (model.tokenizer->adds_bos() && model.tokenizer->bos()) window.tokens[0] = *model.tokenizer->bos();
    window.score_begin = header.score_begin();
    window.score_end = header.ctx - 1;
    set.windows.push_back(std::move(window));
  }
  return set;
}

void report(const Observation& so_far, Progress& progress) {
  progress.update(so_far.windows().size(),
                  fmt::format("[{}] ppl {:.4f} kl {:.6f}", so_far.windows().size(), so_far.ppl(), so_far.mean_kl()));
}

struct StoredComparison {
  Observation observation;
  FormatFloor floor;  // of this model's logits
};

// The model against stored rows, which are read as they are needed.
Result<StoredComparison> compare_stored(const Network& network, const KldReader& base, std::span<const Window> windows, UnitCache& units,
                                        Progress& progress) {
  StoredComparison compared;
  Observation& observation = compared.observation;
  CompensatedSum floor_kl, floor_plain;
  double rows = 0;
  progress.stage("model", windows.size());
  const size_t scored = windows[0].scored(), step = windows_per_batch(windows[0].tokens.size());
  units.plan((windows.size() + step - 1) / step);
  for (size_t begin = 0; begin < windows.size(); begin += step) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "evaluation: interrupted");
    const auto batch = windows.subspan(begin, std::min(step, windows.size() - begin));
    const auto run = [&]() -> Result<std::string> {
      ASSAY_ASSIGN(const at::Tensor hidden, run_blocks(network, batch));
      std::vector<PositionObservation> fresh(batch.size() * scored);
      std::vector<double> kl(fresh.size()), plain(fresh.size());
      ASSAY_TRY(for_each_logits_tile(network, hidden, kTileMemory, [&](uint64_t first, std::span<const float> logits) {
        const size_t vocab = base.header().vocab, count = logits.size() / vocab;
        parallel_for(count, 0, [&](size_t r) {
          const FormatFloor floor = format_floor(logits.subspan(r * vocab, vocab));
          kl[first + r] = floor.kl;
          plain[first + r] = floor.plain;
        });
        return base.compare(begin * scored + first, logits.data(), std::span(fresh).subspan(first, count));
      }));
      ASSAY_ASSIGN(const std::string positions, to_payload(fresh));
      PayloadWriter writer;
      writer.add(std::string_view(positions));
      writer.add(std::span<const double>(kl), "KL of the format");
      writer.add(std::span<const double>(plain), "KL of the format");
      return std::move(writer).finish();
    };
    const auto payload = find_or_make(units, std::to_string(begin), run);
    if (!payload && is_left_out(units, payload.error())) continue;
    if (!payload) return fail(payload.error());
    PayloadReader reader(*payload);
    const std::string positions = reader.text();
    const std::vector<double> kl = reader.reals(), plain = reader.reals();
    ASSAY_TRY(reader.finish());
    ASSAY_ASSIGN(const std::vector<PositionObservation> seen, positions_from_payload(positions));
    if (seen.size() != batch.size() * scored) return fail(ErrorCode::kBadInput, "store: a finished batch has another number of positions");
    for (const double one : kl) floor_kl.add(one);
    for (const double one : plain) floor_plain.add(one);
    rows += static_cast<double>(kl.size());
    for (size_t w = 0; w < batch.size(); ++w) observation.add(batch[w].document, std::span(seen).subspan(w * scored, scored));
    report(observation, progress);
  }
  if (rows > 0) compared.floor = {floor_kl.value() / rows, floor_plain.value() / rows};
  return compared;
}

}  // namespace

Result<EvaluateResult> evaluate(const EvaluateOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  const bool compares = !options.base.empty() || !options.stored_base.empty();
  if (compares && !options.save_logits.empty()) return fail(ErrorCode::kUsage, "eval: --save-all-logits goes without a comparison");
  if (options.text.path.empty() && options.stored_base.empty()) return fail(ErrorCode::kUsage, "eval: --text is needed");
  if (settings.only_finished && !options.save_logits.empty())
    return fail(ErrorCode::kNotFound, "eval: --save-all-logits runs every batch; none is kept");
  std::optional<KldReader> stored;
  if (!options.stored_base.empty()) {
    ASSAY_ASSIGN(std::shared_ptr<const ByteSource> source, open_file(options.stored_base));
    ASSAY_ASSIGN(stored, KldReader::open(std::move(source)));
  }
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, stored ? stored_windows(options, model, *stored) : open_windows(options.text, model));
  EvaluateResult result;
  result.corpus_sha256 = set.corpus_sha256;
  std::vector<WindowSums> sums;
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  const std::string windows = fingerprint(set.windows);
  if (!compares) {
    std::optional<KldWriter> writer;
    if (!options.save_logits.empty()) {
      ASSAY_ASSIGN(writer, create_logits_file(options, model, set));
    }
    // A file of logits needs every batch run.
    const auto units = store.units(store.key("perplexity").add("windows", windows));
    ASSAY_ASSIGN(sums,
                 run_perplexity(*model.network, set.windows, writer ? &*writer : nullptr, writer ? no_unit_cache() : *units, progress));
    if (writer) {
      ASSAY_TRY(writer->commit());
      result.format_floor = writer->floor();
      result.floor_of_base = true;
    }
  } else if (stored) {
    ASSAY_ASSIGN(const std::string base, sha256_of_file(options.stored_base, default_cache_dir()));
    const auto units = store.units(store.key("comparison with stored logits and floor").add("base", base).add("windows", windows));
    ASSAY_ASSIGN(StoredComparison compared, compare_stored(*model.network, *stored, set.windows, *units, progress));
    result.comparison = std::move(compared.observation);
    result.format_floor = compared.floor;
    sums = result.comparison->windows();
    if (!options.base.empty()) {
      ASSAY_ASSIGN(const OpenModel own, open_model(options.base, settings, progress));
      if (static_cast<uint64_t>(own.network->head().out()) != stored->header().vocab)
        return fail(ErrorCode::kMismatch, {options.base, "is not the model of " + options.stored_base, "its vocabulary is another", ""});
      ASSAY_ASSIGN(const std::string files, fingerprint(*own.checkpoint));
      const auto base_units =
          store.units(store.key("floor of stored logits").add("base", base).add("model", files).add("windows", windows));
      ASSAY_ASSIGN(const StoredComparison itself, compare_stored(*own.network, *stored, set.windows, *base_units, progress));
      if (!itself.observation.windows().empty()) {
        result.format_floor = {itself.observation.mean_kl(), itself.floor.plain};
        result.floor_of_base = true;
      }
    }
  } else {
    ASSAY_ASSIGN(const OpenModel base, open_model(options.base, settings, progress));
    if (base.tokenizer->fingerprint() != model.tokenizer->fingerprint()) {
      return fail(ErrorCode::kMismatch, {options.model, "has another tokenizer than " + options.base, "their token streams must be equal",
                                         "not the same model family?"});
    }
    ASSAY_ASSIGN(const std::string base_files, fingerprint(*base.checkpoint));
    ASSAY_ASSIGN(const double floor, noise_floor(store, base, set.windows, settings));
    if (floor > 0 || !settings.only_finished) result.noise_floor = floor;
    BaseRun run(base.network, set.windows, 0);
    progress.stage("model", set.windows.size());
    const auto units = store.units(store.key("comparison").add("base", base_files).add("windows", windows));
    ASSAY_ASSIGN(result.comparison, run.compare([&] { return model.network; }, progress, *units,
                                                [&](const Observation& so_far) { report(so_far, progress); }));
    sums = result.comparison->windows();
  }
  result.units = store.counts();
  if (sums.empty()) return fail(ErrorCode::kNotFound, "eval: no batch of windows is finished yet");
  const Extent extent = extent_of(sums);
  result.tokens_scored = extent.tokens;
  result.windows = extent.windows;
  result.documents = extent.documents;
  WindowTotals totals;
  for (const WindowSums& window : sums) totals.add(window);
  result.nll = totals.value().nll / static_cast<double>(extent.tokens);
  BootstrapOptions bootstrap_options;
  bootstrap_options.seed = settings.seed;
  result.ppl = bootstrap(sums, [](const WindowSums& s) { return std::exp(s.nll / static_cast<double>(s.count)); }, bootstrap_options);
  result.interval_unit = bootstrap_unit(sums);
  return result;
}

}  // namespace assay
