// One file of the hub to one place on disk: in parts over several connections, going on after drops and after kill -9, checked against the
// listing before it takes its name.
// Non-goals: which files (fetch.h), locks between processes (cache.h).
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "assay/hub/client.h"
#include "assay/hub/repository.h"

namespace assay {

// Shows bytes and their rate. Thread-safe.
class ByteMeter {
 public:
  ByteMeter(Progress& progress, uint64_t total);
  void add(int64_t bytes);  // negative: had to be thrown away
  uint64_t total() const { return static_cast<uint64_t>(std::max<int64_t>(0, done_.load())); }

 private:
  Progress& progress_;
  std::atomic<int64_t> done_{0};
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

// `target` appears whole, with the listed size and checksum, or not at all; what was fetched is kept beside it for the next try.
// kBadInput: other bytes than listed, also when fetched afresh; kIo: given up; kNoSpace; kInterrupted.
Status download_file(HubClient& client, const std::string& url, const RepositoryFile& file, const std::string& target,
                     const std::string& who, ByteMeter& meter);

}  // namespace assay
