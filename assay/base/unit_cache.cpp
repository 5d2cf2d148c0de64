#include "assay/base/unit_cache.h"

#include <chrono>

namespace assay {
namespace {

class NoUnitCache final : public UnitCache {
 public:
  Result<std::optional<std::string>> find(std::string_view) override { return std::optional<std::string>(); }
  Status keep(std::string_view, std::string, double) override { return {}; }
};

}  // namespace

UnitCache& no_unit_cache() {
  static NoUnitCache none;
  return none;
}

Result<std::string> find_or_make(UnitCache& units, std::string_view unit, const std::function<Result<std::string>()>& work) {
  ASSAY_ASSIGN(std::optional<std::string> finished, units.find(unit));
  if (finished) return *std::move(finished);
  if (units.only_finished()) return fail(ErrorCode::kNotFound, "store: a unit of this work is not finished");
  return make_anew(units, unit, work);
}

Result<std::string> make_anew(UnitCache& units, std::string_view unit, const std::function<Result<std::string>()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  ASSAY_ASSIGN(std::string payload, work());
  ASSAY_TRY(units.keep(unit, payload, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()));
  return payload;
}

bool is_left_out(const UnitCache& units, const Error& error) { return units.only_finished() && error.code == ErrorCode::kNotFound; }

}  // namespace assay
