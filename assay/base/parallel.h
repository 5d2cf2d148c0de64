// A plain parallel loop for the rooms without torch.
// Results never depend on the thread count: each index writes its own output and nothing is reduced across indices.
#pragma once

#include <cstddef>
#include <functional>

namespace assay {

// The number of threads this process may use (affinity mask), at least 1.
int available_threads();

// Calls body(i) for every i in [0, count), each exactly once, on up to `threads` threads (0: available_threads()).
// Returns when all calls have returned. `body` must not throw.
void parallel_for(size_t count, int threads, const std::function<void(size_t)>& body);

}  // namespace assay
