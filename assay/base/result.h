// Result<T>: a value or an Error. Every function that can fail returns one; there are no exceptions between rooms.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "assay/base/error.h"

namespace assay {

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// `return fail(ErrorCode::kBadInput, {...});`
inline tl::unexpected<Error> fail(ErrorCode code, const Complaint& complaint) { return tl::unexpected<Error>(make_error(code, complaint)); }
inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(make_error(code, std::move(message)));
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace assay

#define ASSAY_CONCAT_INNER(a, b) a##b
#define ASSAY_CONCAT(a, b) ASSAY_CONCAT_INNER(a, b)

// ASSAY_TRY(status_expression): returns the error, if any.
#define ASSAY_TRY(expression)                                                 \
  do {                                                                        \
    auto assay_status = (expression);                                         \
    if (!assay_status) return ::assay::fail(std::move(assay_status).error()); \
  } while (false)

// ASSAY_ASSIGN(auto value, result_expression): declares or assigns the value, or returns the error.
#define ASSAY_ASSIGN(target, expression) ASSAY_ASSIGN_INNER(ASSAY_CONCAT(assay_result_, __LINE__), target, expression)
#define ASSAY_ASSIGN_INNER(temporary, target, expression)             \
  auto temporary = (expression);                                      \
  if (!temporary) return ::assay::fail(std::move(temporary).error()); \
  target = std::move(*temporary)
