// A model whose blocks are taken in another order, left out or taken twice: the names of its tensors, and what its metadata says per block.
// Non-goals: which tensors a block has (tensor_role.h), writing the file (gguf.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "assay/file/metadata.h"

namespace assay {

// The name that a block's tensor has in block `block`: "blk.3.ffn_up.weight" -> "blk.7.ffn_up.weight". Other names stay.
std::string name_in_block(std::string_view tensor, uint32_t block);

// Block i of the result is block blocks[i] of `count`. Sets ARCHITECTURE.block_count, and brings every array of `count` entries under the
// architecture's prefix into that order (but for those known to count something else, such as rope.dimension_sections).
void order_blocks(Metadata& metadata, std::span<const uint32_t> blocks, uint32_t count);

}  // namespace assay
