// What the jobs open first: model, tokenizer, network, windows. Internal to job/.
#pragma once

#include <memory>
#include <string>

#include "assay/job/settings.h"
#include "assay/model/network.h"
#include "assay/text/tokenizer.h"
#include "assay/text/windows.h"

namespace assay {

struct OpenModel {
  std::string path;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const Network> network;
};

// Applies thread and seed settings to libtorch; called at the start of every job.
void apply_settings(const RunSettings& settings);
// Bytes a job may use in all: the setting, or three quarters of what the machine has.
uint64_t memory_budget(const RunSettings& settings);

// Of that, what batches may take: a power of two, so that --memory picks among a few shapes.
uint64_t tile_memory(const RunSettings& settings);

// How a model is loaded under these settings.
NetworkOptions network_options(const RunSettings& settings);

Result<OpenModel> open_model(const std::string& path, const RunSettings& settings, Progress& progress);
// Reads and cuts a text; refuses windows beyond the model's context.
Result<ProbeSet> open_windows(const TextInput& text, const OpenModel& model);

// Windows per forward: a fixed number of tokens, so that batch shapes do not depend on memory or load.
size_t windows_per_batch(size_t tokens_per_window);

// The largest mean KL of three null variants (single weights of the first, middle and last block changed by 2^-8 of their value) on the
// first windows, in the options in use: values below it are not distinguishable from nothing (design.md section 7).
Result<double> measure_noise_floor(const std::shared_ptr<const Network>& network, std::span<const Window> windows, uint64_t seed);

}  // namespace assay
