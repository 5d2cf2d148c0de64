// Sums over the weights of a matrix that gradient scores are made of: double from the start, in fixed blocks and lanes, so that threads and
// instruction sets do not change them. Spans of one call are equally long. Torch-free. Non-goals: the gradients.
#pragma once

#include <span>

namespace assay {

struct DotSums {
  double signed_sum = 0;    // sum a b
  double absolute_sum = 0;  // sum |a b|
};
// threads: 0 takes all.
DotSums dot_sums(std::span<const float> a, std::span<const float> b, int threads = 0);

// sum f d^2.
double weighted_square(std::span<const float> f, std::span<const float> d, int threads = 0);

// sum (a b)^2.
double squared_products(std::span<const float> a, std::span<const float> b, int threads = 0);

// c += scale a b, element by element.
void add_products(double scale, std::span<const float> a, std::span<const float> b, std::span<float> c, int threads = 0);

// sum |c|.
double absolute_sum(std::span<const float> c, int threads = 0);

}  // namespace assay
