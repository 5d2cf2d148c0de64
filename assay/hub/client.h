// Requests to the hub: redirects followed hop by hop, the token sent to the hub's own address and nowhere else, refusals put into words,
// and patience with what passes.
// Non-goals: what is asked for (fetch.h), parts of files (download_file.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/hub/settings.h"
#include "assay/hub/transfer.h"

namespace assay {

// How one try ended.
struct Attempt {
  enum class Kind {
    kDone,     // a 2xx reply, complete
    kRetry,    // dropped, rate-limited, a server in trouble: `error` says what, try again
    kFatal,    // `error`
    kStopped,  // the sink or the user wanted no more
  };
  Kind kind = Kind::kDone;
  HttpHead head;
  std::string url;  // where redirects led
  Error error = {};
  std::chrono::seconds wait{0};  // the server asks for this much (Retry-After)
};

class HubClient {
 public:
  HubClient(const HubSettings& settings, TransferFactory& transfers, Progress& progress);

  const HubSettings& settings() const { return settings_; }
  Progress& progress() const { return progress_; }

  // One try. `connection`, from 0 to settings().connections - 1: one thread at a time each. The sink sees 2xx replies only. `who` opens
  // messages. `stop`: given up when it becomes true.
  Attempt attempt(int connection, const std::string& url, const std::vector<std::string>& headers, HttpSink& sink, const std::string& who,
                  const std::atomic<bool>* stop = nullptr);
  // A small text, with retries. kBadInput beyond `limit` bytes. `tries`: at most this many; 0: as the settings say.
  Result<std::string> text(const std::string& url, const std::string& who, uint64_t limit, int tries = 0);

 private:
  const HubSettings settings_;
  Progress& progress_;
  std::string origin_;  // of the endpoint
  bool token_allowed_;  // over https, or to this machine
  std::vector<std::unique_ptr<Transfer>> connections_;
};

// Counts failures in a row and waits between them: first_wait, doubled each time, up to a quarter more at random; a server's own wish
// first.
class Patience {
 public:
  Patience(const HubClient& client, int tries = 0);
  void progressed() { failures_ = 0; }
  // Waits before the next try. The attempt's error when there have been too many or the server wants too much time; kInterrupted.
  Status wait(const Attempt& failed, const std::atomic<bool>* stop = nullptr);

 private:
  const HubSettings& settings_;
  Progress& progress_;
  int tries_, failures_ = 0;
};

}  // namespace assay
