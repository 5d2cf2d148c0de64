// A recipe as data that any tool's format is read into and written from: tensor -> type by name, because types of ik_llama.cpp are no ggml
// types, with where it came from and what it promises as far as that is known. Recipe (recipe.h) is what quantize can write.
// Non-goals: rules and patterns (type_rules.h), formats (recipe_format.h), bytes (recipe_size.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/plan/recipe.h"

namespace assay {

// Empty: unknown.
struct RecipeProvenance {
  std::string model;             // its name or path
  std::string model_sha256;      // fingerprint() of its files
  std::string structure_sha256;  // of its tensors' names and shapes
  std::string tool;              // "assay 0.7.0"
  std::string command;
  std::map<std::string, std::string> inputs;  // file -> SHA-256: tables, imatrix
  bool operator==(const RecipeProvenance&) const = default;
};

struct RecipePrediction {
  std::optional<double> damage;                       // nats per token
  std::optional<std::pair<double, double>> interval;  // of it, 95 %
  std::optional<uint64_t> tensor_bytes, file_bytes;
  std::optional<double> standard_error = {};  // of it
  std::optional<double> bound = {};           // no recipe within the same constraints has less, by the same table
  bool operator==(const RecipePrediction&) const = default;
};

struct RecipeDocument {
  std::map<std::string, std::string> types;  // tensor -> type, as TypeSize::name has it
  RecipeProvenance provenance = {};
  RecipePrediction prediction = {};
  bool operator==(const RecipeDocument&) const = default;
};

RecipeDocument document_of(const Recipe& recipe);
// kUnsupported: types that only ik_llama.cpp has, named.
Result<Recipe> ggml_recipe(const RecipeDocument& document);

// kMismatch: tensors that the model lacks, with the nearest names of its own; kBadInput: a type its rows cannot hold.
Status check_recipe(const RecipeDocument& document, std::span<const TensorInfo> tensors);

// SHA-256 over names and shapes, in any order of the tensors; equal for a model's GGUF in any types and its tensor map.
std::string structure_sha256(std::span<const TensorInfo> tensors);

}  // namespace assay
