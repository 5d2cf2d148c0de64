// How long work reports on itself and is told to stop. The library calls, the command line prints.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace assay {

class Progress {
 public:
  virtual ~Progress() = default;
  // A new stage of `total` units of work (0: unknown) begins; an earlier one is over.
  virtual void stage(std::string_view name, uint64_t total) { (void)name, (void)total; }
  // The same, of bytes.
  virtual void stage_bytes(std::string_view name, uint64_t total) { stage(name, total); }
  // `done` units of the current stage are finished; `note` may hold a running figure ("ppl 12.31"). Thread-safe.
  virtual void update(uint64_t done, std::string_view note = {}) { (void)done, (void)note; }
  // One line for the log ("planner: 3 windows in flight, 812 MiB").
  virtual void log(std::string_view line) { (void)line; }
  // True once the user asked to stop (Ctrl-C); work returns ErrorCode::kInterrupted at the next unit boundary.
  virtual bool interrupted() const { return false; }
};

// Passes everything on, and hides the wish to stop: for work that is to be finished once begun.
class UninterruptedProgress final : public Progress {
 public:
  explicit UninterruptedProgress(Progress& inner) : inner_(inner) {}
  void stage(std::string_view name, uint64_t total) override { inner_.stage(name, total); }
  void update(uint64_t done, std::string_view note) override { inner_.update(done, note); }
  void log(std::string_view line) override { inner_.log(line); }

 private:
  Progress& inner_;
};

// A progress that says nothing.
Progress& silent_progress();

}  // namespace assay
