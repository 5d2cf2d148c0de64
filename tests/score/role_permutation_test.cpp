#include "assay/score/role_permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace assay {
namespace {

// A hybrid model: attention in every third block, a feed-forward in all, at two types; the head outside.
std::vector<RoleCell> hybrid() {
  std::vector<RoleCell> cells;
  for (const char* type : {"Q2_K", "Q4_K"}) {
    for (int block = 0; block < 9; ++block)
      for (const char* role : {block % 3 == 0 ? "attn_q" : "ssm_out", block % 3 == 0 ? "attn_k" : "ssm_in", "ffn_up", "ffn_down"})
        cells.push_back({role, std::to_string(block), block, type});
    cells.push_back({"output", "output", -1, type});
  }
  return cells;
}

TEST(RolePermutation, MovesRolesAndBlocksAsWholes) {
  const auto cells = hybrid();
  const RolePermutation permutation(cells);
  std::vector<uint32_t> from(cells.size());
  std::map<std::string, std::set<std::string>> role_targets, block_targets;
  for (uint64_t draw = 0; draw < 300; ++draw) {
    permutation.draw(1, draw, from);
    EXPECT_EQ(std::set<uint32_t>(from.begin(), from.end()).size(), cells.size());
    std::map<std::string, std::string> role_of, block_of;
    for (size_t i = 0; i < cells.size(); ++i) {
      EXPECT_EQ(cells[i].type, cells[from[i]].type);
      EXPECT_EQ(role_of.emplace(cells[i].role, cells[from[i]].role).first->second, cells[from[i]].role);
      EXPECT_EQ(block_of.emplace(cells[i].block, cells[from[i]].block).first->second, cells[from[i]].block);
    }
    for (const auto& [from_role, to] : role_of) role_targets[from_role].insert(to);
    for (const auto& [from_block, to] : block_of) block_targets[from_block].insert(to);
  }
  using testing::ElementsAre;
  EXPECT_THAT(role_targets["attn_q"], ElementsAre("attn_k", "attn_q"));
  EXPECT_THAT(role_targets["ssm_in"], ElementsAre("ssm_in", "ssm_out"));
  EXPECT_THAT(role_targets["ffn_up"], ElementsAre("ffn_down", "ffn_up"));
  EXPECT_THAT(role_targets["output"], ElementsAre("output"));
  EXPECT_THAT(block_targets["3"], ElementsAre("0", "3", "6"));
  EXPECT_THAT(block_targets["4"], ElementsAre("1", "2", "4", "5", "7", "8"));
}

// Of twelve layers, given in any order, neighbours on the circle stay neighbours but at the joints of four pieces.
TEST(RolePermutation, NeighboursMostlyStayTogether) {
  std::vector<RoleCell> cells;
  for (int i = 0; i < 12; ++i) cells.push_back({"q", std::to_string(5 * i % 12), 5 * i % 12, ""});
  const RolePermutation permutation(cells);
  std::vector<uint32_t> from(12);
  std::set<std::vector<int>> seen;
  for (uint64_t draw = 0; draw < 200; ++draw) {
    permutation.draw(3, draw, from);
    std::vector<int> source(12);  // by layer
    for (size_t i = 0; i < 12; ++i) source[static_cast<size_t>(cells[i].layer)] = cells[from[i]].layer;
    int joints = 0;
    for (size_t layer = 0; layer + 1 < 12; ++layer) {
      const int step = (source[layer + 1] - source[layer] + 12) % 12;
      joints += step != 1 && step != 11;
    }
    EXPECT_LE(joints, 3);
    seen.insert(source);
  }
  EXPECT_GT(seen.size(), 150u);
}

// A missing cell keeps its role and its block in place: nothing else has their cells.
TEST(RolePermutation, AGapStaysWhereItIs) {
  std::vector<RoleCell> cells;
  for (int block = 0; block < 4; ++block)
    for (const char* role : {"q", "k", "v"})
      for (const char* type : {"Q2_K", "Q4_K"})
        if (block != 2 || std::string(role) != "k" || std::string(type) != "Q4_K")
          cells.push_back({role, std::to_string(block), block, type});
  const RolePermutation permutation(cells);
  std::vector<uint32_t> from(cells.size());
  bool moved = false;
  for (uint64_t draw = 0; draw < 50; ++draw) {
    permutation.draw(1, draw, from);
    EXPECT_EQ(std::set<uint32_t>(from.begin(), from.end()).size(), cells.size());
    for (size_t i = 0; i < cells.size(); ++i) {
      EXPECT_EQ(cells[i].type, cells[from[i]].type);
      if (cells[i].block == "2") {
        EXPECT_EQ(cells[from[i]].block, "2");
      }
      if (cells[i].role == "k") {
        EXPECT_EQ(cells[from[i]].role, "k");
      }
      moved |= from[i] != i;
    }
  }
  EXPECT_TRUE(moved);
}

TEST(RolePermutation, TheSamePlaceTwiceIsTwoRoles) {
  const std::vector<RoleCell> cells = {{"other", "0", 0, ""}, {"other", "0", 0, ""}, {"other", "1", 1, ""}, {"other", "1", 1, ""}};
  const RolePermutation permutation(cells);
  std::vector<uint32_t> from(4);
  std::set<std::vector<uint32_t>> seen;
  for (uint64_t draw = 0; draw < 100; ++draw) {
    permutation.draw(9, draw, from);
    seen.insert(from);
  }
  EXPECT_EQ(seen.size(), 4u) << "two roles times two blocks";
}

}  // namespace
}  // namespace assay
