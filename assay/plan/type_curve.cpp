#include "assay/plan/type_curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace assay {
namespace {

constexpr double kNever = 1e12;  // a penalty nothing outweighs
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kTie = 1e-9;                                   // of a score: less is rounding
constexpr std::array<double, 4> kOffsets = {0, 0.5, 0.8, 0.9};  // of the smallest cell
constexpr std::array<double, 6> kSaturations = {0, 0.1, 0.2, 0.3, 0.5, 0.8};
constexpr std::array<double, 3> kPenalties = {kNever, 1, 0.1};  // in squared x, for each tensor: what a curve misses at a type, all share
constexpr std::array<double, 4> kShrinkages = {kNever, 30, 3, 0.3};  // in cells
constexpr int kRounds = 4;                                           // of effects and deviations, each given the other

struct Shape {
  double offset = 0, saturation = 0;
  double common = kNever, own = kNever;  // penalties of the common slope's distance from 1, of a role's from the common one
};

double x_of(double whole, double saturation) { return std::log(whole / (1 + saturation * whole)); }

// Means of each tensor over the cells of the types in use, and slopes.
struct Lines {
  std::vector<double> x, y;  // [tensors]
  std::vector<size_t> count;
  std::vector<double> slopes;  // [roles]
  double common = 1;
};

class Fitter {
 public:
  explicit Fitter(const CurveInput& input) : input_(input), used_(input.whole.size(), false) {
    smallest_ = std::numeric_limits<double>::infinity();
    for (const CurveCell& cell : input.cells) {
      smallest_ = std::min(smallest_, cell.damage);
      used_[cell.type] = true;
    }
    for (size_t q = 0; q < used_.size(); ++q)
      if (used_[q]) families_.insert(input.family_of[q]);
  }

  size_t families() const { return families_.size(); }

  void take(const Shape& shape) {
    if (x_.empty() || shape.saturation != shape_.saturation) {
      x_.clear();
      for (const double whole : input_.whole) x_.push_back(x_of(whole, shape.saturation));
    }
    if (y_.empty() || shape.offset != shape_.offset) {
      y_.clear();
      for (const CurveCell& cell : input_.cells) y_.push_back(std::log(cell.damage - shape.offset));
    }
    shape_ = shape;
  }

  // Without the types of one family.
  Lines lines(std::optional<size_t> left_out) const {
    Lines lines{std::vector<double>(input_.role_of.size()), std::vector<double>(input_.role_of.size()),
                std::vector<size_t>(input_.role_of.size()), std::vector<double>(input_.roles, 1), 1};
    const auto in_use = [&](const CurveCell& cell) { return input_.family_of[cell.type] != left_out; };
    for (size_t i = 0; i < y_.size(); ++i) {
      const CurveCell& cell = input_.cells[i];
      if (!in_use(cell)) continue;
      lines.x[cell.tensor] += x_[cell.type];
      lines.y[cell.tensor] += y_[i];
      ++lines.count[cell.tensor];
    }
    for (size_t t = 0; t < lines.x.size(); ++t)
      if (lines.count[t] > 0) {
        lines.x[t] /= static_cast<double>(lines.count[t]);
        lines.y[t] /= static_cast<double>(lines.count[t]);
      }
    if (shape_.common >= kNever && shape_.own >= kNever) return lines;
    // Least squares of q (g + g_r)^2 - 2 p (g + g_r) over roles, + common g^2 + own g_r^2: g_r drops out, then g is a ratio of sums.
    std::vector<double> p(input_.roles), q(input_.roles);
    for (size_t i = 0; i < y_.size(); ++i) {
      const CurveCell& cell = input_.cells[i];
      if (!in_use(cell)) continue;
      const double dx = x_[cell.type] - lines.x[cell.tensor], dy = y_[i] - lines.y[cell.tensor] - dx;
      p[input_.role_of[cell.tensor]] += dx * dy;
      q[input_.role_of[cell.tensor]] += dx * dx;
    }
    std::vector<double> own(input_.roles);
    double above = 0, below = 0;
    for (size_t t = 0; t < lines.count.size(); ++t)
      if (lines.count[t] > 0) {
        own[input_.role_of[t]] += shape_.own;
        below += shape_.common;
      }
    for (size_t r = 0; r < input_.roles; ++r)
      if (own[r] > 0) {
        above += own[r] * p[r] / (q[r] + own[r]);
        below += own[r] * q[r] / (q[r] + own[r]);
      }
    const double g = above / below;
    lines.common = 1 + g;
    for (size_t r = 0; r < input_.roles; ++r) lines.slopes[r] = 1 + g + (own[r] > 0 ? (p[r] - q[r] * g) / (q[r] + own[r]) : 0);
    return lines;
  }

  struct Score {
    double absolute = 0;  // mean over families of the mean |log error| of the cell, offset included
    double square = 0;    // root mean square of log errors, offset taken off
  };
  Score leave_types_out() const {
    Score score;
    size_t families = 0, cells = 0;
    for (const size_t family : families_) {
      const Lines kept = lines(family);
      double sum = 0;
      size_t count = 0;
      for (size_t i = 0; i < y_.size(); ++i) {
        const CurveCell& cell = input_.cells[i];
        if (input_.family_of[cell.type] != family || kept.count[cell.tensor] == 0) continue;
        const double guess = kept.y[cell.tensor] + kept.slopes[input_.role_of[cell.tensor]] * (x_[cell.type] - kept.x[cell.tensor]);
        sum += std::abs(std::log(std::exp(guess) + shape_.offset) - std::log(cell.damage));
        score.square += (y_[i] - guess) * (y_[i] - guess);
        ++count;
      }
      if (count == 0) continue;
      score.absolute += sum / static_cast<double>(count);
      ++families;
      cells += count;
    }
    if (families > 0) score.absolute /= static_cast<double>(families);
    if (cells > 0) score.square = std::sqrt(score.square / static_cast<double>(cells));
    return score;
  }

  Shape best_shape() {
    Shape best;
    if (families() < 2) {
      best.saturation = input_.saturation.value_or(0);
      return best;
    }
    double least = std::numeric_limits<double>::infinity();
    for (const double own : kPenalties)
      for (const double common : kPenalties) {
        if (own < kNever && common >= kNever) continue;
        for (const double saturation : kSaturations)
          for (const double offset : kOffsets) {
            const Shape shape{offset * smallest_, saturation, common, own};
            take(shape);
            const double score = leave_types_out().absolute;
            if (score >= least - kTie) continue;
            least = score;
            best = shape;
          }
      }
    return best;
  }

  CurveFit fit(const Shape& shape, bool with_deviations) {
    take(shape);
    const Lines all = lines(std::nullopt);
    CurveFit fit;
    fit.offset = shape.offset;
    fit.saturation = shape.saturation;
    fit.common_slope = all.common;
    fit.slopes = all.slopes;
    fit.types = input_.whole.size();
    fit.deviations.assign(input_.roles * fit.types, 0);
    fit.effects.assign(input_.role_of.size(), kNone);
    for (size_t t = 0; t < fit.effects.size(); ++t)
      if (all.count[t] > 0) fit.effects[t] = all.y[t] - all.slopes[input_.role_of[t]] * all.x[t];
    if (families() > 1) fit.type_error = leave_types_out().square;
    double distance = 0;
    for (size_t q = 0; q < fit.types; ++q) {
      if (!used_[q]) continue;
      fit.measured_x.push_back(x_[q]);
      double nearest = std::numeric_limits<double>::infinity();
      for (size_t other = 0; other < fit.types; ++other)
        if (used_[other] && input_.family_of[other] != input_.family_of[q]) nearest = std::min(nearest, std::abs(x_[q] - x_[other]));
      distance += nearest;
    }
    if (families() > 1) fit.type_distance = distance / static_cast<double>(fit.measured_x.size());
    deviate(fit, with_deviations);
    return fit;
  }

 private:
  double residual(const CurveFit& fit, size_t i) const {
    const CurveCell& cell = input_.cells[i];
    return y_[i] - fit.effects[cell.tensor] - fit.slopes[input_.role_of[cell.tensor]] * x_[cell.type];
  }

  // Sums of residuals by type, and by role and type.
  struct Sums {
    std::vector<double> type, cell;
    std::vector<size_t> types, cells;
  };
  Sums sums(const CurveFit& fit) const {
    Sums sums{std::vector<double>(fit.types), std::vector<double>(fit.types * input_.roles), std::vector<size_t>(fit.types),
              std::vector<size_t>(fit.types * input_.roles)};
    for (size_t i = 0; i < y_.size(); ++i) {
      const CurveCell& cell = input_.cells[i];
      const size_t place = input_.role_of[cell.tensor] * fit.types + cell.type;
      const double r = residual(fit, i);
      sums.type[cell.type] += r;
      sums.cell[place] += r;
      ++sums.types[cell.type];
      ++sums.cells[place];
    }
    return sums;
  }

  // With `skip`, one residual less.
  static double deviation(const Sums& sums, size_t type, size_t place, double common, double own, const double* skip) {
    const double less = skip != nullptr ? *skip : 0, one = skip != nullptr ? 1 : 0;
    const double n = static_cast<double>(sums.types[type]) - one, m = static_cast<double>(sums.cells[place]) - one;
    const double shared = (sums.type[type] - less) / (n + common);
    return shared + (sums.cell[place] - less - m * shared) / (m + own);
  }

  void deviate(CurveFit& fit, bool with_deviations) const {
    double least = std::numeric_limits<double>::infinity(), common = kNever, own = kNever;
    const Sums first = sums(fit);
    for (const double c : kShrinkages)
      for (const double o : kShrinkages) {
        if (!with_deviations && (c < kNever || o < kNever)) continue;
        const double error = leave_cells_out(fit, first, c, o);
        if (error >= least - kTie) continue;
        least = error;
        common = c;
        own = o;
      }
    fit.cell_error = std::isfinite(least) ? least : 0;
    if (common >= kNever && own >= kNever) return;
    for (int round = 0; round < kRounds; ++round) {
      const Sums now = sums(fit);
      for (size_t r = 0; r < input_.roles; ++r)
        for (size_t q = 0; q < fit.types; ++q)
          if (used_[q]) fit.deviations[r * fit.types + q] = deviation(now, q, r * fit.types + q, common, own, nullptr);
      std::vector<double> sum(fit.effects.size());
      std::vector<size_t> count(fit.effects.size());
      for (size_t i = 0; i < y_.size(); ++i) {
        const CurveCell& cell = input_.cells[i];
        const size_t role = input_.role_of[cell.tensor];
        sum[cell.tensor] += y_[i] - fit.slopes[role] * x_[cell.type] - fit.deviations[role * fit.types + cell.type];
        ++count[cell.tensor];
      }
      for (size_t t = 0; t < sum.size(); ++t)
        if (count[t] > 0) fit.effects[t] = sum[t] / static_cast<double>(count[t]);
    }
  }

  // Root mean square log error of a cell from the tensor's others and the deviations of the other tensors.
  double leave_cells_out(const CurveFit& fit, const Sums& sums, double common, double own) const {
    std::vector<double> after(y_.size()), total(fit.effects.size());
    std::vector<size_t> count(fit.effects.size());
    for (size_t i = 0; i < y_.size(); ++i) {
      const CurveCell& cell = input_.cells[i];
      const double r = residual(fit, i);
      after[i] = r - deviation(sums, cell.type, input_.role_of[cell.tensor] * fit.types + cell.type, common, own, &r);
      total[cell.tensor] += after[i];
      ++count[cell.tensor];
    }
    double square = 0;
    size_t cells = 0;
    for (size_t i = 0; i < y_.size(); ++i) {
      const size_t t = input_.cells[i].tensor;
      if (count[t] < 2) continue;
      const double error = after[i] - (total[t] - after[i]) / static_cast<double>(count[t] - 1);
      square += error * error;
      ++cells;
    }
    return cells > 0 ? std::sqrt(square / static_cast<double>(cells)) : std::numeric_limits<double>::infinity();
  }

  const CurveInput& input_;
  std::vector<bool> used_;
  std::set<size_t> families_;
  double smallest_ = 0;
  Shape shape_;
  std::vector<double> x_, y_;  // [types], [cells]
};

}  // namespace

double CurveFit::x(double whole) const { return x_of(whole, saturation); }

double CurveFit::log_damage(double effect, size_t role, size_t type, double whole) const {
  return effect + slopes[role] * x(whole) + deviations[role * types + type];
}

double CurveFit::type_variance(double whole) const {
  double nearest = std::numeric_limits<double>::infinity();
  for (const double known : measured_x) nearest = std::min(nearest, std::abs(x(whole) - known));
  const double farther = type_distance > 0 && std::isfinite(nearest) ? std::max(1.0, nearest / type_distance) : 1;
  return type_error * type_error * farther;
}

CurveFit fit_type_curve(const CurveInput& input) {
  Fitter fitter(input);
  return fitter.fit(fitter.best_shape(), true);
}

CurveFit fit_rank_one(const CurveInput& input) { return Fitter(input).fit({}, false); }

}  // namespace assay
