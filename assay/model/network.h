// A model that runs: weights decoded on demand under a memory limit, the forward of one block in stages, the head.
// Without gradient: packed matrices and row kernels, rule of rows. With gradient: PlainBlock.
// Non-goals: which blocks run in which order, on which streams (probe/).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/architecture.h"
#include "assay/model/attention_rules.h"
#include "assay/model/checkpoint.h"
#include "assay/model/matrix.h"
#include "assay/model/token_tree.h"

namespace assay {

// The matrices of a block, in the order of the data.
enum class Site { kQ, kK, kV, kQkv, kO, kGate, kUp, kDown };
inline constexpr Site kSites[] = {Site::kQ, Site::kK, Site::kV, Site::kQkv, Site::kO, Site::kGate, Site::kUp, Site::kDown};
inline constexpr size_t kSiteCount = std::size(kSites);
std::string_view name_of(Site site);  // "attn_q", ...: the middle of the tensor's name

// Replaces a product of a block: gets the site and its input [rows, in], returns [rows, out] with the bias in it.
using LinearFn = std::function<at::Tensor(Site site, const at::Tensor& x)>;

// What the MLP of one model computed, each [rows, ..]; gate: undefined where the MLP has none.
struct MlpValues {
  at::Tensor x, gate, up, activated, down;
};

// What a forward through a block leaves for its backward, each [rows, ..]: the outputs of the products before the last one and the
// attention's result. What is cheap to make again - norms, rotations, activations - is not in it.
struct BlockTrace {
  at::Tensor q, k, v, qkv;  // either the first three or the last
  at::Tensor context, attended, gate, up;
  static int64_t floats_per_row(const Hyper& hyper);
};

// One block's weights, packed. Rows are tokens: S sequences of T tokens are [S * T, width], sequence after sequence.
class Block {
 public:
  bool has(Site site) const;
  at::Tensor linear(Site site, const at::Tensor& x) const;
  // The same for n streams near one whose output y_base is known (Matrix::add_deviation); distance: round_deviation of the inputs.
  // These and mlp_near: compute mode deviations only.
  at::Tensor linear_near(Site site, const at::Tensor& distance, const at::Tensor& y_base) const;
  // The MLP of x = ffn_input(..), and the same for n streams near one that is known.
  at::Tensor mlp(const at::Tensor& x) const;
  at::Tensor mlp_near(const at::Tensor& x, const MlpValues& base) const;
  at::Tensor attention_input(const at::Tensor& h) const;                    // norm
  at::Tensor ffn_input(const at::Tensor& h) const;                          // norm
  at::Tensor activate(const at::Tensor& gate, const at::Tensor& up) const;  // gate: undefined where the MLP has none
  // Causal attention. q holds rows [query_begin, query_end) of every sequence, k and v all rows; returns q's rows [.., heads * head_dim].
  // `rules`: null for the model's own.
  at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t sequences, int64_t tokens,
                       int64_t query_begin, int64_t query_end, const AttentionRules* rules = nullptr) const;
  // The same from one matrix's output [all rows, q | k | v].
  at::Tensor attention_fused(const at::Tensor& qkv, int64_t sequences, int64_t tokens, int64_t query_begin, int64_t query_end,
                             const AttentionRules* rules = nullptr) const;
  // What attention() attends with: heads apart, normalized and turned as the model says. q [sequences, queries, heads, head_dim], k and v
  // [sequences, tokens, kv_heads, head_dim].
  struct Heads {
    at::Tensor q, k, v;
  };
  Heads heads_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t sequences, int64_t tokens, int64_t query_begin,
                 int64_t query_end) const;
  Heads heads_of_fused(const at::Tensor& qkv, int64_t sequences, int64_t tokens, int64_t query_begin, int64_t query_end) const;
  // Attention of such heads under several rules (attend_under of attention.h); null: the model's own.
  std::vector<at::Tensor> attention_under(const Heads& heads, int64_t query_begin, std::span<const AttentionRules* const> rules) const;

  // Causal attention of packed trees (token_tree.h), from the products of their rows: q of all rows or of the wanted ones, k and v of all;
  // or from one matrix's output [all rows, q | k | v].
  at::Tensor attention_trees(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::span<const TokenTree> trees,
                             bool wanted) const;
  at::Tensor attention_trees_fused(const at::Tensor& qkv, std::span<const TokenTree> trees, bool wanted) const;

  // The whole block; `linear` (may be empty) replaces the products.
  at::Tensor forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& linear = {}) const;
  // The same with its trace; float32 compute on the CPU.
  at::Tensor forward_traced(const at::Tensor& h, int64_t sequences, int64_t tokens, BlockTrace& trace) const;
  // The last block: queries, output projection and MLP on positions [begin, end) only; returns those rows.
  at::Tensor forward_scored(const at::Tensor& h, int64_t sequences, int64_t tokens, int64_t begin, int64_t end,
                            const LinearFn& linear = {}) const;

  struct Weights;
  explicit Block(std::unique_ptr<Weights> weights);
  ~Block();
  uint64_t bytes() const;

 private:
  bool gated_on_panels() const;
  void place_heads(at::Tensor& q, at::Tensor& k, const at::Tensor& q_positions, const at::Tensor& k_positions, int64_t longest) const;
  std::unique_ptr<Weights> weights_;
};

// What a backward through a block gives: the gradient at its input, and at each product its input x [rows, in] and the gradient g
// [rows, out] at its output.
struct SiteGradient {
  Site site;
  at::Tensor x, g;
};
struct BlockGradient {
  at::Tensor input;
  std::vector<SiteGradient> sites;
};

// One block with plain float32 weights, for the backward by blocks.
class PlainBlock {
 public:
  bool has(Site site) const;
  at::Tensor linear(Site site, const at::Tensor& x) const;
  at::Tensor forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& linear = {}) const;  // differentiable
  // h: the block's input, g_out: the gradient at its output. On CPUs with AVX-512 by our own kernels, rule of rows by sequence.
  // trace: of a forward of h (Block::forward_traced); null: the block is run again up to its last product, to the same bits.
  BlockGradient backward(const at::Tensor& h, const at::Tensor& g_out, int64_t sequences, int64_t tokens,
                         const BlockTrace* trace = nullptr) const;
  // Whether backward() takes traces of this network's blocks.
  static bool takes_traces(const at::Device& device, Compute compute);
  // The same by differentiating forward(), on any device.
  BlockGradient backward_by_operators(const at::Tensor& h, const at::Tensor& g_out, int64_t sequences, int64_t tokens) const;
  std::string tensor(Site site) const;  // its GGUF name

  struct Weights;
  explicit PlainBlock(std::unique_ptr<Weights> weights);
  ~PlainBlock();

 private:
  std::unique_ptr<Weights> weights_;
};

struct NetworkOptions {
  Compute compute = Compute::kFloat32;
  std::string device = "cpu";
  uint64_t memory_limit = 0;  // bytes for weights; 0: none. As many blocks as fit stay, the others are decoded when asked for
  int threads = 0;            // for decoding; 0: all
};

class Network {
 public:
  // Errors: unknown architecture, missing or surplus tensor, wrong shape, broken weights, device that is not there or lacks the compute
  // mode.
  static Result<std::shared_ptr<const Network>> load(std::shared_ptr<const Checkpoint> checkpoint, const NetworkOptions& options,
                                                     Progress& progress = silent_progress());
  ~Network();

  const Hyper& hyper() const;
  const Checkpoint& checkpoint() const;
  Compute compute() const;
  at::Device device() const;

  Result<std::shared_ptr<const Block>> block(int layer) const;
  Result<std::shared_ptr<const PlainBlock>> plain_block(int layer) const;
  // tokens: [S, T] int32 on the CPU -> [S * T, d]. kBadInput: a token outside the vocabulary; T beyond the model's context.
  Result<at::Tensor> embed(const at::Tensor& tokens) const;
  // Rows of packed sequences: tokens and positions [rows] int32 on the CPU, positions within the model's context -> [rows, d].
  Result<at::Tensor> embed_rows(const at::Tensor& tokens, const at::Tensor& positions) const;
  at::Tensor final_norm(const at::Tensor& h) const;
  at::Tensor final_norm_plain(const at::Tensor& h) const;  // differentiable
  // Gradient at h from g at final_norm(h).
  at::Tensor final_norm_gradient(const at::Tensor& h, const at::Tensor& g) const;
  const Matrix& head() const;  // [vocab, d]

  // A matrix as stored, [out, in] float32 on the CPU.
  Result<at::Tensor> plain_weight(const std::string& tensor) const;
  std::string tensor_name(int layer, Site site) const;
  std::string head_tensor() const;       // "output.weight", or the tied embedding
  std::string embedding_tensor() const;  // "token_embd.weight"
  bool resident() const;                 // all blocks fit the limit

  struct State;

 private:
  explicit Network(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace assay
