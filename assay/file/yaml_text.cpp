#include "assay/file/yaml_text.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <vector>

#include "assay/base/text.h"

namespace assay {
namespace {

using nlohmann::json;

// Levels; yaml-cpp itself stops at 500.
constexpr size_t kMaxDepth = 100;
// Bytes; yaml-cpp needs some hundred bytes of memory per token.
constexpr size_t kMaxBytes = size_t{16} << 20;

// Leaves the parser, which knows no other way; caught in parse_yaml.
struct Refused {
  YAML::Mark mark;
  std::string found, needed;
};

bool is_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const auto digits = [&] {
    const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(end);
    return end;
  };
  size_t mantissa = digits();
  if (!text.empty() && text[0] == '.') text.remove_prefix(1), mantissa += digits();
  if (mantissa == 0) return false;
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

template <class T>
std::optional<T> whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional<T>(value) : std::nullopt;
}

json plain_scalar(const YAML::Mark& mark, const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (!is_number(text)) return text;
  const std::string_view number = std::string_view(text).substr(text[0] == '+' ? 1 : 0);
  if (const auto value = whole<uint64_t>(number)) return *value;
  if (const auto value = whole<int64_t>(number)) return *value;
  if (const auto value = whole<double>(number)) return *value;
  throw Refused{mark, "has the number " + printable(text), "a number within double's range is needed"};
}

class TreeBuilder : public YAML::EventHandler {
 public:
  json& root() { return root_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(mark, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { throw Refused{mark, "has an alias", "write the value itself"}; }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    if (tag != "?") check_tag(mark, tag);
    if (!is_valid_utf8(value)) throw Refused{mark, "is not UTF-8", ""};
    if (wants_key()) {
      if (!open_.back().node.contains(value)) {
        open_.back().key = value;
        return;
      }
      throw Refused{mark, "key '" + printable(value) + "' is given twice", "keys must be unique"};
    }
    add(mark, tag == "?" ? plain_scalar(mark, value) : json(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    enter(mark, tag, json::array());
  }
  void OnSequenceEnd() override { leave(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    enter(mark, tag, json::object());
  }
  void OnMapEnd() override { leave(); }

 private:
  struct Open {
    json node;
    std::optional<std::string> key;  // of the value that comes next
    YAML::Mark mark;
  };

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag != "?" && tag != "!") throw Refused{mark, "has the tag '" + printable(tag) + "'", "tags are not read"};
  }
  bool wants_key() const { return !open_.empty() && open_.back().node.is_object() && !open_.back().key; }
  void add(const YAML::Mark& mark, json value) {
    if (wants_key()) throw Refused{mark, "has a key that is not a scalar", "keys are text"};
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().node.is_array()) {
      open_.back().node.push_back(std::move(value));
    } else {
      open_.back().node[*open_.back().key] = std::move(value);
      open_.back().key.reset();
    }
  }
  void enter(const YAML::Mark& mark, const std::string& tag, json empty) {
    check_tag(mark, tag);
    if (wants_key()) throw Refused{mark, "has a key that is not a scalar", "keys are text"};
    if (open_.size() == kMaxDepth) throw Refused{mark, "nests deeper than " + std::to_string(kMaxDepth) + " levels", ""};
    open_.push_back({std::move(empty), {}, mark});
  }
  void leave() {
    Open last = std::move(open_.back());
    open_.pop_back();
    add(last.mark, std::move(last.node));
  }

  json root_;
  std::vector<Open> open_;
};

std::string at_line(const std::string& who, const YAML::Mark& mark) {
  return mark.line < 0 ? who : who + ": line " + group_digits(static_cast<uint64_t>(mark.line) + 1);
}

}  // namespace

Result<nlohmann::json> parse_yaml(std::string_view text, const std::string& who) {
  if (text.size() > kMaxBytes)
    return fail(ErrorCode::kBadInput,
                {who, "has " + format_bytes(text.size()), "YAML of at most " + format_bytes(kMaxBytes) + " is read", "write it as JSON"});
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder tree;
    if (!parser.HandleNextDocument(tree)) return fail(ErrorCode::kBadInput, {who, "is empty", "a YAML document is needed", ""});
    TreeBuilder more;
    if (parser.HandleNextDocument(more)) return fail(ErrorCode::kBadInput, {who, "has a second document", "one is needed", ""});
    return std::move(tree.root());
  } catch (const Refused& refused) {
    return fail(ErrorCode::kBadInput, {at_line(who, refused.mark), refused.found, refused.needed, ""});
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kBadInput, {at_line(who, error.mark), "is not YAML", printable(error.msg, 200), ""});
  }
}

}  // namespace assay
