// A small model with all that a score with passes of its own gets to see, for the tests of these scores.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/score/pass_score.h"
#include "tests/base/map_unit_cache.h"
#include "tests/score/path_model.h"

namespace assay::testing_path {

// Types of blocks of 32 weights: ffn_down with its rows of 48 can take neither. A type of 256 fits nothing.
inline const std::vector<GgmlType> kSmallTypes = {GgmlType::kQ4_0, GgmlType::kQ8_0};

class PassCase {
 public:
  explicit PassCase(bool tied = false, int threads = 0) : base(tiny_checkpoint(tied)), options{.threads = threads} {
    network = *Network::load(base, options);
    changes = std::make_unique<ChangeSource>(network, nullptr, ChangeOptions{});
    context = std::make_unique<ScoreContext>(ScoreContext{network->hyper(), 3, threads});
    for (int layer = -1; layer < 3; ++layer) layers.push_back({layer, {}, {}});
    for (const TensorInfo& tensor : base->tensors()) {
      if (!is_quantizable(tensor)) continue;
      const TensorRole role = role_of(tensor.name);
      layers[static_cast<size_t>(role.layer + 1)].matrices.push_back({tensor.name, role, tensor.rows(), tensor.row_length()});
    }
  }

  // Valid as long as this.
  PassRun run() {
    PassRun made{
        network,
        options,
        windows,
        layers,
        types,
        [this](const std::string& tensor) { return types_of(tensor); },
        [this](const std::string& tensor, GgmlType type) { return changes->stored(tensor, type); },
        {},
        *context,
        budget,
        [this](const std::string& name, const std::function<Result<std::string>()>& make) { return find_or_make(units, name, make); },
        silent_progress(),
        [this](const std::string& name) { return units_are_at_hand && units.units.contains(name); }};
    return made;
  }
  PassRows rows(const Score& score) {
    auto made = dynamic_cast<const PassScore&>(score).rows(run());
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  double estimate(const Score& score) { return dynamic_cast<const PassScore&>(score).estimate(run()); }

  // The path of all matrices that can take the type, or of one layer's.
  QuantizationPath path(GgmlType type, int only = kEverything) {
    auto far = std::make_shared<StoredMatrices>();
    for (const LayerNumbers& layer : layers)
      for (const MatrixShape& matrix : layer.matrices)
        if ((only == kEverything || only == layer.layer) && matrix.columns % 32 == 0)
          far->emplace(matrix.tensor, *changes->stored(matrix.tensor, type));
    QuantizationPath made;
    made.base = base;
    made.far = far;
    made.windows = windows;
    return made;
  }

  std::shared_ptr<const Checkpoint> base;
  NetworkOptions options;
  std::shared_ptr<const Network> network;
  std::vector<Window> windows = some_windows(2);
  std::vector<LayerNumbers> layers;
  std::vector<GgmlType> types = kSmallTypes;
  double budget = HUGE_VAL;
  bool units_are_at_hand = false;  // as if another score of the run had asked for them
  testing_units::MapUnitCache units;

 private:
  std::vector<GgmlType> types_of(const std::string& tensor) const {
    std::vector<GgmlType> fit;
    for (const GgmlType type : types)
      if (base->find(tensor)->row_length() % find_type(type)->block_size == 0) fit.push_back(type);
    return fit;
  }

  std::unique_ptr<ChangeSource> changes;
  std::unique_ptr<ScoreContext> context;
};

inline const ScoreCell* cell_of(const PassRows& rows, const std::string& name, GgmlType type) {
  const auto row = std::ranges::find_if(rows.rows, [&](const ScoreRow& one) { return one.name == name; });
  return row == rows.rows.end() ? nullptr : find_cell(*row, type);
}

inline double sum_of(const PassRows& rows, GgmlType type) {
  double sum = 0;
  for (const ScoreRow& row : rows.rows)
    if (const ScoreCell* cell = find_cell(row, type)) sum += cell->value;
  return sum;
}

inline bool has_note(const PassRows& rows, const std::string& part) {
  return std::ranges::any_of(rows.notes, [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

inline void expect_same(const PassRows& a, const PassRows& b) {
  ASSERT_EQ(a.rows.size(), b.rows.size());
  EXPECT_EQ(a.notes, b.notes);
  for (size_t r = 0; r < a.rows.size(); ++r) {
    ASSERT_EQ(a.rows[r].cells.size(), b.rows[r].cells.size());
    for (size_t c = 0; c < a.rows[r].cells.size(); ++c) {
      EXPECT_EQ(a.rows[r].cells[c].value, b.rows[r].cells[c].value) << a.rows[r].name;
      EXPECT_EQ(a.rows[r].cells[c].standard_error, b.rows[r].cells[c].standard_error) << a.rows[r].name;
    }
  }
}

// A score on one thread and on two, and again from the units of the first.
inline void expect_repeatable(const std::unique_ptr<Score>& score) {
  PassCase one(false, 1), two(false, 2);
  at::set_num_threads(1);
  const PassRows first = one.rows(*score);
  at::set_num_threads(2);
  const PassRows second = two.rows(*score);
  expect_same(first, second);
  const size_t kept = one.units.kept;
  EXPECT_GT(kept, 0u);
  const PassRows again = one.rows(*score);
  expect_same(first, again);
  EXPECT_EQ(one.units.kept, kept);
  EXPECT_EQ(first.forward_equivalents, again.forward_equivalents);
}

}  // namespace assay::testing_path
