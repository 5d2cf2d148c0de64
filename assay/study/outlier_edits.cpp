#include "assay/study/outlier_edits.h"

#include <algorithm>

namespace assay {
namespace {

using Action = WeightEdit::Action;
using Where = Selection::Kind;

WeightEdit edit_of(const std::string& tensor, std::vector<Coordinate> at, Action action, double value) {
  WeightEdit edit;
  edit.tensor = tensor;
  edit.where = {Where::kCoordinates, std::move(at), 0};
  edit.action = action;
  edit.value = value;
  return edit;
}

WeightEdit line_of(const WeightPlace& place, Where kind, Action action, double value) {
  WeightEdit edit;
  edit.tensor = place.tensor;
  edit.where = {kind, {}, kind == Where::kRow ? place.at.row : place.at.column};
  edit.action = action;
  edit.value = value;
  return edit;
}

Variant of(std::vector<WeightEdit> edits) {
  Variant variant;
  variant.weights = std::move(edits);
  return variant;
}

}  // namespace

std::string name_of(const WeightPlace& place) {
  std::string tensor = place.tensor;
  if (tensor.ends_with(".weight")) tensor.resize(tensor.size() - std::string_view(".weight").size());
  return tensor + "[" + std::to_string(place.at.row) + ", " + std::to_string(place.at.column) + "]";
}

Variant zeroed(std::span<const WeightPlace> places) {
  std::vector<WeightEdit> edits;
  for (const WeightPlace& place : places) {
    const auto found = std::find_if(edits.begin(), edits.end(), [&](const WeightEdit& edit) { return edit.tensor == place.tensor; });
    if (found == edits.end()) {
      edits.push_back(edit_of(place.tensor, {place.at}, Action::kSet, 0));
    } else {
      found->where.coordinates.push_back(place.at);
    }
  }
  return of(std::move(edits));
}

Variant scaled(const WeightPlace& place, double factor) { return of({edit_of(place.tensor, {place.at}, Action::kScale, factor)}); }

Variant spread(const WeightPlace& place, double weight, uint64_t columns, uint64_t radius) {
  std::vector<Coordinate> neighbours;
  const uint64_t first = place.at.column - std::min(place.at.column, radius), last = std::min(columns - 1, place.at.column + radius);
  for (uint64_t column = first; column <= last; ++column)
    if (column != place.at.column) neighbours.push_back({place.at.row, column});
  std::vector<WeightEdit> edits = {edit_of(place.tensor, {place.at}, Action::kSet, 0)};
  if (!neighbours.empty()) {
    const double share = weight / static_cast<double>(neighbours.size());
    edits.push_back(edit_of(place.tensor, std::move(neighbours), Action::kAdd, share));
  }
  return of(std::move(edits));
}

Variant row_scaled(const WeightPlace& place, double factor) {
  return of({line_of(place, Where::kRow, Action::kScale, factor), edit_of(place.tensor, {place.at}, Action::kSet, 0)});
}

Variant row_zeroed(const WeightPlace& place) { return of({line_of(place, Where::kRow, Action::kSet, 0)}); }
Variant column_zeroed(const WeightPlace& place) { return of({line_of(place, Where::kColumn, Action::kSet, 0)}); }

Variant patched(const WeightPlace& place, ResidualEdit::Form form, int layer, int rank) {
  Variant variant = zeroed({&place, 1});
  ResidualEdit patch;
  patch.form = form;
  patch.layer = form == ResidualEdit::Form::kReplace ? layer : 0;
  patch.rank = rank;
  variant.residual.push_back(patch);
  return variant;
}

}  // namespace assay
