#include "assay/report/label_space.h"

#include <algorithm>
#include <cmath>

namespace assay {

void LabelSpace::avoid(Spot from, Spot to) {
  constexpr double kPiece = 5;  // pixels
  const double length = std::hypot(to.x - from.x, to.y - from.y);
  const int pieces = std::max(1, static_cast<int>(std::ceil(length / kPiece)));
  for (int i = 0; i < pieces; ++i) {
    const double begin = static_cast<double>(i) / pieces, end = static_cast<double>(i + 1) / pieces;
    const Spot a{from.x + begin * (to.x - from.x), from.y + begin * (to.y - from.y)};
    const Spot b{from.x + end * (to.x - from.x), from.y + end * (to.y - from.y)};
    strokes_.push_back({std::min(a.x, b.x) - 1, std::min(a.y, b.y) - 1, std::max(a.x, b.x) + 1, std::max(a.y, b.y) + 1});
  }
}

size_t LabelSpace::place(std::span<const Box> offers) {
  for (const bool crossing : {false, true}) {
    for (size_t i = 0; i < offers.size(); ++i) {
      const auto hits = [&](const Box& box) { return box.overlaps(offers[i]); };
      if (!inside(offers[i]) || std::ranges::any_of(taken_, hits) || (!crossing && std::ranges::any_of(strokes_, hits))) continue;
      taken_.push_back(offers[i]);
      return i;
    }
  }
  return offers.size();
}

std::vector<Box> boxes_around(Spot mark, double radius, double width, double height) {
  std::vector<Box> offers;
  for (const double gap : {radius + 2, radius + 12, radius + 24}) {
    const double diagonal = gap * 0.7;
    const auto offer = [&](double left, double top) { offers.push_back({left, top, left + width, top + height}); };
    offer(mark.x + gap, mark.y - height / 2);
    offer(mark.x - gap - width, mark.y - height / 2);
    offer(mark.x - width / 2, mark.y - gap - height);
    offer(mark.x - width / 2, mark.y + gap);
    offer(mark.x + diagonal, mark.y - diagonal - height);
    offer(mark.x - diagonal - width, mark.y - diagonal - height);
    offer(mark.x + diagonal, mark.y + diagonal);
    offer(mark.x - diagonal - width, mark.y + diagonal);
  }
  return offers;
}

}  // namespace assay
