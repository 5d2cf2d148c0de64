// The inner loops of choosing codes of grid types under second moments (column_kernels.h for the words): octet by octet, sixteen rows side
// by side. A row's result depends on that row only. Torch-free, thread-safe; equal bytes on every CPU capability.
#pragma once

#include <span>

#include "assay/codes/column_kernels.h"
#include "assay/quant/grid_codes.h"

namespace assay::codes {

static_assert(kColumns == kSuperBlock && kRows == kLanes);

// The super-blocks of a strip, one per row. Of the strip, x, v, g and error are read and written.
using SuperBlocks = std::span<GridBlock, kRows>;

// Error feedback from the last octet to the first; scales stay, and shifts that belong to a run.
void feedback(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip);
// One sweep of descent over the codes; scales stay, and shifts that belong to a run.
void descend_codes(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip);
// Every run's scale and shift, then d, each at its best with all else fixed; codes stay.
void descend_scales(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip);

}  // namespace assay::codes
