// Progress on standard error: one rewritten line with an ETA on a terminal, a line now and then elsewhere. Ctrl-C asks to stop.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "assay/base/progress.h"

namespace assay::cli {

class TerminalProgress final : public Progress {
 public:
  explicit TerminalProgress(bool quiet);
  ~TerminalProgress() override;
  void stage(std::string_view name, uint64_t total) override;
  void stage_bytes(std::string_view name, uint64_t total) override;
  void update(uint64_t done, std::string_view note) override;
  void log(std::string_view line) override;
  bool interrupted() const override;

 private:
  void clear_line();
  bool quiet_;
  bool terminal_;
  std::mutex mutex_;
  std::string stage_;
  uint64_t total_ = 0;
  bool bytes_ = false;
  std::chrono::steady_clock::time_point begun_, shown_;
  bool line_open_ = false;
};

// SIGINT and SIGTERM set the flag that interrupted() reads; a second one ends the process at once, with exit code 75.
void catch_interrupts();
// What a second one prints before that, at most 4 KB.
void show_after_second_interrupt(const std::string& text);

}  // namespace assay::cli
