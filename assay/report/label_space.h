// Where words go without covering one another: greedy, first come first served.
// Non-goals: the best placement; words that find no free place among those offered are not drawn.
#pragma once

#include <span>
#include <vector>

#include "assay/report/svg.h"

namespace assay {

// Pixels, y downwards.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool overlaps(const Box& other) const { return left < other.right && other.left < right && top < other.bottom && other.top < bottom; }
  bool contains(const Box& other) const { return left <= other.left && top <= other.top && right >= other.right && bottom >= other.bottom; }
};

class LabelSpace {
 public:
  // Words must lie inside `bounds`.
  explicit LabelSpace(const Box& bounds) : bounds_(bounds) {}
  void occupy(const Box& box) { taken_.push_back(box); }
  // A stroke, as a row of small boxes: avoided, but crossed rather than leave words out.
  void avoid(Spot from, Spot to);
  // The first of `offers` that is free, or else crosses strokes only; now taken. The number of offers if none is.
  size_t place(std::span<const Box> offers);
  bool inside(const Box& box) const { return bounds_.contains(box); }

 private:
  Box bounds_;
  std::vector<Box> taken_;
  std::vector<Box> strokes_;
};

// Around a mark of `radius`: right, left, above, below, then the corners, then farther out (from the eighth offer on). Boxes of `width`
// times `height`.
std::vector<Box> boxes_around(Spot mark, double radius, double width, double height);

}  // namespace assay
