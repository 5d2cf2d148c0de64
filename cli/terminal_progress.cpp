#include "cli/terminal_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "assay/base/text.h"

namespace assay::cli {
namespace {

volatile std::sig_atomic_t interrupts = 0;

// Written to before `farewell_bytes` says so: the handler may run at any time.
char farewell[4096];
volatile std::sig_atomic_t farewell_bytes = 0;

void on_interrupt(int) {
  if (interrupts) {
    const ssize_t written = write(STDERR_FILENO, farewell, static_cast<size_t>(farewell_bytes));
    (void)written;
    _exit(75);
  }
  interrupts = 1;
}

using namespace std::chrono_literals;

}  // namespace

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit becomes an error message
  std::signal(SIGPIPE, SIG_IGN);
}

void show_after_second_interrupt(const std::string& text) {
  farewell_bytes = 0;
  const size_t bytes = std::min(text.size(), sizeof farewell);
  std::copy_n(text.data(), bytes, farewell);
  farewell_bytes = static_cast<std::sig_atomic_t>(bytes);
}

TerminalProgress::TerminalProgress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}
TerminalProgress::~TerminalProgress() { clear_line(); }

bool TerminalProgress::interrupted() const { return interrupts != 0; }

void TerminalProgress::clear_line() {
  if (line_open_) std::fputs("\r\033[K", stderr);
  line_open_ = false;
}

void TerminalProgress::stage(std::string_view name, uint64_t total) {
  const std::lock_guard lock(mutex_);
  stage_ = name;
  total_ = total;
  bytes_ = false;
  begun_ = shown_ = std::chrono::steady_clock::now();
}

void TerminalProgress::stage_bytes(std::string_view name, uint64_t total) {
  stage(name, total);
  const std::lock_guard lock(mutex_);
  bytes_ = true;
}

void TerminalProgress::update(uint64_t done, std::string_view note) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? 100ms : 5000ms)) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  const auto amount = [this](uint64_t units) { return bytes_ ? format_bytes(units) : std::to_string(units); };
  std::string line = stage_ + " " + amount(done);
  if (total_ > 0) {
    const double left = done > 0 ? seconds * static_cast<double>(total_ - std::min(total_, done)) / static_cast<double>(done) : 0;
    line += fmt::format("/{}  {:.0f} s left", amount(total_), left);
  }
  if (!note.empty()) line += "  " + std::string(note);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    line_open_ = true;
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
}

void TerminalProgress::log(std::string_view line) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  clear_line();
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace assay::cli
