// Where the hub is, where its cache lies, and how hard to try: from the environment, with the names huggingface_hub uses.
// Non-goals: storing anything; a token is read when it is needed and kept in memory alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "assay/base/result.h"

namespace assay {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT; no slash at the end
  std::string cache;                                // HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub
  std::string token = {};                           // HF_TOKEN, else the file HF_TOKEN_PATH, else $HF_HOME/token; empty: none
  bool offline = false;                             // HF_HUB_OFFLINE: the cache alone
  int connections = 4;                              // at once, per file
  uint64_t part_bytes = uint64_t{64} << 20;         // a request asks for at most this much of a file
  int tries = 6;                                    // failures in a row, without one byte between them, before giving up
  std::chrono::milliseconds first_wait{500};        // before the second try; doubles with each
  std::chrono::seconds longest_wait{600};           // a server that asks for more (Retry-After) is given up
};

// kUsage: an endpoint that is no address, a token that cannot be one (never quoted), no home directory to keep a cache in.
Result<HubSettings> hub_settings_from_environment();

}  // namespace assay
