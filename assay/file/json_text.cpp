#include "assay/file/json_text.h"

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "assay/base/text.h"

namespace assay {

namespace {
constexpr int kMaxDepth = 100;
}

Result<nlohmann::json> parse_json(std::string_view text, const std::string& who, RepeatedKeys repeated) {
  using nlohmann::json;
  // A depth-first scan before the tree is built: a handler that only watches keys and depth.
  struct Watcher : nlohmann::json_sax<json> {
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(json::number_integer_t) override { return true; }
    bool number_unsigned(json::number_unsigned_t) override { return true; }
    bool number_float(json::number_float_t, const std::string&) override { return true; }
    bool string(std::string&) override { return true; }
    bool binary(json::binary_t&) override { return true; }
    bool start_object(std::size_t) override { return enter(); }
    bool end_object() override { return leave(); }
    bool start_array(std::size_t) override { return enter(); }
    bool end_array() override { return leave(); }
    bool key(std::string& name) override {
      if (!refuse_repeated || keys.back().insert(name).second) return true;
      complaint = {"key '" + printable(name) + "' is given twice", "keys must be unique"};
      return false;
    }
    bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
      complaint = {"is not JSON at byte " + group_digits(position), "valid JSON is needed"};
      return false;
    }
    bool enter() {
      keys.emplace_back();
      if (keys.size() <= kMaxDepth) return true;
      complaint = {"nests deeper than " + std::to_string(kMaxDepth) + " levels", ""};
      return false;
    }
    bool leave() {
      keys.pop_back();
      return true;
    }
    bool refuse_repeated = false;
    std::vector<std::unordered_set<std::string>> keys;
    std::pair<std::string, std::string> complaint;
  };
  Watcher watcher;
  watcher.refuse_repeated = repeated == RepeatedKeys::kRefuse;
  if (!json::sax_parse(text.begin(), text.end(), &watcher)) {
    return fail(ErrorCode::kBadInput, {who, watcher.complaint.first, watcher.complaint.second, "truncated download, or edited by hand?"});
  }
  json tree = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (tree.is_discarded()) return fail(ErrorCode::kBadInput, {who, "is not JSON", "", ""});
  return tree;
}

}  // namespace assay
