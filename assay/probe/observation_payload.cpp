#include "assay/probe/observation_payload.h"

#include "assay/base/payload.h"

namespace assay {
namespace {

// One column per field, so that equal fields stand together.
template <class Record, class Number>
void add_column(PayloadWriter& writer, std::span<const Record> records, Number Record::* field, std::string_view name) {
  std::vector<Number> column;
  column.reserve(records.size());
  for (const Record& record : records) column.push_back(record.*field);
  writer.add(std::span<const Number>(column), name);
}

// Whole numbers below 2^53 travel as doubles.
template <class Record, class Number>
void add_whole(PayloadWriter& writer, std::span<const Record> records, Number Record::* field, std::string_view name) {
  std::vector<double> column;
  column.reserve(records.size());
  for (const Record& record : records) column.push_back(static_cast<double>(record.*field));
  writer.add(std::span<const double>(column), name);
}

template <class Record, class Number, class Column>
void put_column(std::vector<Record>& records, Number Record::* field, const Column& column, bool& whole) {
  if (records.empty()) records.resize(column.size());
  if (column.size() != records.size()) {
    whole = false;
    return;
  }
  for (size_t i = 0; i < records.size(); ++i) records[i].*field = static_cast<Number>(column[i]);
}

Status check(const PayloadReader& reader, bool whole) {
  ASSAY_TRY(reader.finish());
  if (!whole) return fail(ErrorCode::kBadInput, "journal: payload has columns of different lengths; written by another version?");
  return {};
}

using P = PositionObservation;
constexpr std::pair<double P::*, const char*> kPositionReals[] = {
    {&P::kl, "kl"}, {&P::nll_base, "nll of the base"}, {&P::nll, "nll"}, {&P::nll_difference, "nll difference"}};
constexpr std::pair<float P::*, const char*> kPositionFloats[] = {
    {&P::p_base, "p of the base"}, {&P::p, "p"}, {&P::margin_base, "margin of the base"}, {&P::margin, "margin"}};

using W = WindowSums;
constexpr std::pair<double W::*, const char*> kWindowReals[] = {
    {&W::nll, "nll"}, {&W::nll_base, "nll of the base"}, {&W::nll_difference, "nll difference"},
    {&W::kl, "kl"},   {&W::kl_square, "kl squared"},     {&W::margin_change, "margin change"},
    {&W::dp, "dp"},   {&W::dp_square, "dp squared"}};

}  // namespace

Result<std::string> to_payload(std::span<const PositionObservation> positions) {
  PayloadWriter writer;
  for (const auto& [field, name] : kPositionReals) add_column(writer, positions, field, name);
  for (const auto& [field, name] : kPositionFloats) add_column(writer, positions, field, name);
  add_whole(writer, positions, &P::argmax, "argmax");
  add_whole(writer, positions, &P::flip, "flip");
  return std::move(writer).finish();
}

Result<std::vector<PositionObservation>> positions_from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  std::vector<PositionObservation> positions;
  bool whole = true;
  for (const auto& [field, name] : kPositionReals) put_column(positions, field, reader.reals(), whole);
  for (const auto& [field, name] : kPositionFloats) put_column(positions, field, reader.floats(), whole);
  put_column(positions, &P::argmax, reader.reals(), whole);
  put_column(positions, &P::flip, reader.reals(), whole);
  ASSAY_TRY(check(reader, whole));
  return positions;
}

Result<std::string> to_payload(std::span<const WindowSums> windows) {
  PayloadWriter writer;
  add_whole(writer, windows, &W::document, "document");
  add_whole(writer, windows, &W::count, "count");
  add_whole(writer, windows, &W::flips, "flips");
  add_whole(writer, windows, &W::non_finite, "not finite");
  for (const auto& [field, name] : kWindowReals) add_column(writer, windows, field, name);
  return std::move(writer).finish();
}

Result<std::vector<WindowSums>> window_sums_from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  std::vector<WindowSums> windows;
  bool whole = true;
  put_column(windows, &W::document, reader.reals(), whole);
  put_column(windows, &W::count, reader.reals(), whole);
  put_column(windows, &W::flips, reader.reals(), whole);
  put_column(windows, &W::non_finite, reader.reals(), whole);
  for (const auto& [field, name] : kWindowReals) put_column(windows, field, reader.reals(), whole);
  ASSAY_TRY(check(reader, whole));
  return windows;
}

}  // namespace assay
