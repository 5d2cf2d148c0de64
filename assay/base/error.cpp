#include "assay/base/error.h"

#include <utility>

namespace assay {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kBadInput:
      return "bad_input";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kMismatch:
      return "mismatch";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kNoSpace:
      return "no_space";
    case ErrorCode::kInterrupted:
      return "interrupted";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return 64;
    case ErrorCode::kBadInput:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kMismatch:
      return 65;
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
      return 74;
    case ErrorCode::kInterrupted:
      return 75;
    case ErrorCode::kInternal:
      return 70;
  }
  return 70;
}

Error make_error(ErrorCode code, const Complaint& complaint) {
  std::string text = complaint.who;
  if (!complaint.found.empty()) text += (text.empty() ? "" : " ") + complaint.found;
  if (!complaint.needed.empty()) text += (text.empty() ? "" : "; ") + complaint.needed;
  if (!complaint.cause.empty()) text += " (" + complaint.cause + ")";
  return Error{code, std::move(text)};
}

Error make_error(ErrorCode code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace assay
