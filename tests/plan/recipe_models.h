// Small models and recipes that the tests of recipe formats share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "assay/plan/recipe_document.h"
#include "assay/plan/recipe_format.h"

namespace assay::recipe_models {

inline TensorInfo tensor(const std::string& name, std::vector<uint64_t> dims) {
  TensorInfo info;
  info.name = name;
  info.type = dims.size() == 1 ? GgmlType::kF32 : GgmlType::kBF16;
  info.n_dims = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), info.dims.begin());
  return info;
}

// Two dense blocks.
inline std::vector<TensorInfo> tensors() {
  std::vector<TensorInfo> list = {tensor("token_embd.weight", {256, 40})};
  for (const std::string block : {"blk.0.", "blk.1."}) {
    list.push_back(tensor(block + "attn_norm.weight", {256}));
    list.push_back(tensor(block + "attn_q.weight", {256, 256}));
    list.push_back(tensor(block + "attn_v.weight", {256, 64}));
    list.push_back(tensor(block + "ffn_up.weight", {256, 512}));
    list.push_back(tensor(block + "ffn_down.weight", {512, 256}));
  }
  list.push_back(tensor("output.weight", {256, 40}));
  return list;
}

// A type for each matrix, different ones within groups.
inline RecipeDocument recipe() {
  return {{{"token_embd.weight", "q6_K"},
           {"blk.0.attn_q.weight", "q4_K"},
           {"blk.0.attn_v.weight", "q4_K"},
           {"blk.0.ffn_up.weight", "iq4_xs"},
           {"blk.0.ffn_down.weight", "iq4_xs"},
           {"blk.1.attn_q.weight", "q3_K"},
           {"blk.1.attn_v.weight", "q3_K"},
           {"blk.1.ffn_up.weight", "q4_K"},
           {"blk.1.ffn_down.weight", "q4_K"},
           {"output.weight", "q8_0"}},
          {},
          {}};
}

// The same with all that a document can hold.
inline RecipeDocument full_recipe() {
  RecipeDocument document = recipe();
  document.types["blk.0.ffn_up.weight"] = "iq4_ks";
  const std::string digits(60, 'a');
  document.provenance = {"models/small \"x\".gguf",
                         digits + "0001",
                         digits + "0002",
                         "assay 1.2.3",
                         "plan --table t.json -o out",
                         {{"t.json", digits + "0003"}, {"im.gguf", digits + "0004"}}};
  document.prediction = {0.0123456789012345678, std::pair(0.01, 0.015), 123456, 234567, 0.00125, 0.0117};
  return document;
}

inline ReadRecipe read(const RecipeFormat& format, const std::string& text, const std::vector<TensorInfo>& model) {
  EXPECT_TRUE(format.recognises(text)) << text;
  const auto recognised = recognise_recipe(text, "file");
  EXPECT_TRUE(recognised) << recognised.error().message;
  if (recognised) {
    EXPECT_EQ((*recognised)->name, format.name);
  }
  RecipeReadOptions options;
  options.tensors = model;
  const auto result = format.read(text, options);
  EXPECT_TRUE(result) << result.error().message << "\n" << text;
  return result.value_or(ReadRecipe{});
}

inline WrittenRecipe written(const RecipeFormat& format, const RecipeDocument& document, const std::vector<TensorInfo>& model = {}) {
  const auto result = format.write(document, model);
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(WrittenRecipe{});
}

// The error of reading a text, with the model of tensors() unless none is wanted.
inline Error fault(const RecipeFormat& format, const std::string& text, bool with_model = true) {
  const auto model = tensors();
  RecipeReadOptions options;
  options.who = "file";
  if (with_model) options.tensors = model;
  const auto result = format.read(text, options);
  EXPECT_FALSE(result) << text;
  return result ? Error{ErrorCode::kInternal, "no error"} : result.error();
}

}  // namespace assay::recipe_models
