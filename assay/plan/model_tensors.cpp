#include "assay/plan/model_tensors.h"

#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/byte_source.h"
#include "assay/model/fingerprint.h"
#include "assay/score/published_truth.h"

namespace assay {
namespace {

tl::unexpected<Error> other_model(const RecipeDocument& document, const std::string& path, const std::string& what,
                                  const std::string& recorded, const std::string& found) {
  const std::string name = document.provenance.model.empty() ? "" : " ('" + printable(document.provenance.model) + "')";
  return fail(ErrorCode::kMismatch, {"recipe", "was made for a model" + name + " whose " + what + " is " + recorded.substr(0, 12),
                                     "that of '" + printable(path) + "' is " + found.substr(0, 12), "a stale recipe; --force uses it"});
}

}  // namespace

Result<ModelTensors> open_model_tensors(const std::string& path) {
  ModelTensors model;
  model.path = path;
  if (!path.ends_with(".map")) {
    ASSAY_ASSIGN(model.checkpoint, Checkpoint::open(path));
    model.tensors = model.checkpoint->tensors();
    return model;
  }
  ASSAY_ASSIGN(const auto source, open_file(path));
  ASSAY_ASSIGN(const auto map, read_tensor_map(*source));
  for (const MappedTensor& one : map) {
    ASSAY_ASSIGN(const TensorInfo tensor, tensor_info(one));
    model.tensors.push_back(tensor);
  }
  if (model.tensors.empty()) return fail(ErrorCode::kBadInput, {"tensor map '" + printable(path) + "'", "names no tensor", "", ""});
  return model;
}

Status check_same_model(const RecipeDocument& document, const ModelTensors& model) {
  const RecipeProvenance& from = document.provenance;
  if (model.checkpoint && !from.model_sha256.empty()) {
    ASSAY_ASSIGN(const std::string hash, fingerprint(*model.checkpoint));
    if (hash != from.model_sha256) return other_model(document, model.path, "SHA-256", from.model_sha256, hash);
  } else if (!from.structure_sha256.empty()) {
    const std::string hash = structure_sha256(model.tensors);
    if (hash != from.structure_sha256) return other_model(document, model.path, "tensors' SHA-256", from.structure_sha256, hash);
  }
  return {};
}

Result<std::string> check_same_model(const DamageTable& table, const Checkpoint& checkpoint, const std::string& path, bool force) {
  if (table.model_sha256.empty()) return std::string("damage table: it names no model; whether it is of this one is not known");
  ASSAY_ASSIGN(const std::string hash, fingerprint(checkpoint));
  if (hash == table.model_sha256) return std::string();
  const Complaint message = {"damage table", "was made of a model whose SHA-256 is " + printable(table.model_sha256).substr(0, 12),
                             "that of '" + printable(path) + "' is " + hash.substr(0, 12), "a stale table; --force uses it"};
  if (!force) return fail(ErrorCode::kMismatch, message);
  return fmt::format("{} {}, {}: used all the same (--force)", message.who, message.found, message.needed);
}

Status record_model(const ModelTensors& model, RecipeProvenance& provenance) {
  provenance.model = model.path;
  provenance.structure_sha256 = structure_sha256(model.tensors);
  provenance.model_sha256.clear();
  if (model.checkpoint) {
    ASSAY_ASSIGN(provenance.model_sha256, fingerprint(*model.checkpoint));
  }
  return {};
}

}  // namespace assay
