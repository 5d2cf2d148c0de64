// The one error vocabulary of the library: a closed list of codes and one sentence per error.
// Non-goals: exceptions across rooms, error chains, localisation. The library never prints, aborts or exits.
#pragma once

#include <string>
#include <string_view>

namespace assay {

enum class ErrorCode {
  kUsage,        // the caller asked for something that makes no sense (exit 64)
  kBadInput,     // a file or text breaks its format's rules (exit 65)
  kUnsupported,  // well-formed, but something we do not handle; named (exit 65)
  kNotFound,     // a file, tensor or key that was needed is absent (exit 65)
  kMismatch,     // two inputs that must agree do not (exit 65)
  kIo,           // the operating system refused to read or write (exit 74)
  kNoSpace,      // a disk or memory limit is too small (exit 74)
  kInterrupted,  // stopped by a signal; resumable (exit 75)
  kInternal,     // a bug of ours (exit 70)
};

// The code's short name, for JSON: "usage", "bad_input", ...
std::string_view name_of(ErrorCode code);
// The process exit code (sysexits) that belongs to a code.
int exit_code_of(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

// The parts of a message: who speaks, what was found, what was required, the likely cause.
// Empty parts are left out.
struct Complaint {
  std::string who;     // "gguf: tensor 'blk.3.ffn_up.weight'"
  std::string found;   // "ends at byte 9,437,184"
  std::string needed;  // "file has 8,388,608"
  std::string cause;   // "truncated download?"
};

// "who found; needed (cause)" as one sentence: `gguf: tensor 'x' ends at byte 9; needed at most 8 (truncated download?)`.
Error make_error(ErrorCode code, const Complaint& complaint);
Error make_error(ErrorCode code, std::string message);

}  // namespace assay
