#include "assay/tasks/lm_eval_results.h"

#include <nlohmann/json.hpp>

#include "assay/base/version.h"
#include "assay/tasks/encode_items.h"

namespace assay {

using Json = nlohmann::ordered_json;

Json lm_eval_results(std::span<const LmEvalTask> tasks, const std::string& model, const std::string& bos) {
  Json json;
  for (const char* part : {"results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples"})
    json[part] = Json::object();
  for (const LmEvalTask& task : tasks) {
    Json& result = json["results"][task.name];
    result = {{"alias", task.name}, {"sample_len", task.score.items}};
    Json metrics = Json::array(), directions = Json::object();
    for (const OptionNorm norm : kOptionNorms) {
      if (task.form == TaskForm::kPartial && norm != OptionNorm::kNone) continue;
      const std::string name(name_of(norm));
      const Mean& mean = task.score.accuracy[static_cast<size_t>(norm)];
      result[name + ",none"] = mean.value;
      result[name + "_stderr,none"] = task.score.items > 1 ? Json(mean.standard_error) : Json("N/A");
      metrics.push_back({{"metric", name}, {"aggregation", "mean"}, {"higher_is_better", true}});
      directions[name] = true;
    }
    json["group_subtasks"][task.name] = Json::array();
    json["configs"][task.name] = {{"task", task.name},
                                  {"dataset_path", task.file},
                                  {"dataset_sha256", task.sha256},
                                  {"output_type", "multiple_choice"},
                                  {"target_delimiter", " "},
                                  {"num_fewshot", 0},
                                  {"metric_list", std::move(metrics)},
                                  {"metadata", {{"version", 0}, {"form", name_of(task.form)}}}};
    json["versions"][task.name] = 0;
    json["n-shot"][task.name] = 0;
    json["higher_is_better"][task.name] = std::move(directions);
    json["n-samples"][task.name] = {{"original", task.items_in_file}, {"effective", task.score.items}};
  }
  json["config"] = {{"model", "assay"},
                    {"model_args", "pretrained=" + model + ",bos=" + bos},
                    {"rules", "lm-evaluation-harness " + std::string(kLmEvalVersion)}};
  json["model_source"] = "assay";
  json["model_name"] = model;
  json["assay_version"] = program_version();
  return json;
}

}  // namespace assay
