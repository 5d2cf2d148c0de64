#include "assay/store/run_log.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 1;
constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxReportBytes = uint64_t{1} << 28;
constexpr size_t kIdDigits = 12;
constexpr std::chrono::seconds kWriteAfter(1);
constexpr RunState kStates[] = {RunState::kRunning, RunState::kInterrupted, RunState::kFailed, RunState::kDone};

int64_t now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string file_of(const std::string& store, const std::string& id, const char* suffix) { return store + "/runs/" + id + suffix; }

bool is_id(std::string_view id) { return id.size() == kIdDigits && id.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

std::string id_of(const RunRecord& record) {
  Sha256 hash;
  const auto add = [&](const std::string& text) {
    hash.add(uint64_t{text.size()});
    hash.add(text);
  };
  for (const std::string& argument : record.arguments)
    if (argument != "--force" && argument != "--quiet") add(argument);  // the same work
  add(record.directory);
  add(record.code);
  for (const RunInput& input : record.inputs) add(input.path), add(input.sha256);
  return hash.hex().substr(0, kIdDigits);
}

std::string to_text(const RunRecord& record) {
  json inputs = json::array();
  for (const RunInput& input : record.inputs) inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  const json out = {{"assay_run", kFormat},
                    {"id", record.id},
                    {"command", record.command},
                    {"arguments", record.arguments},
                    {"directory", record.directory},
                    {"version", record.version},
                    {"code", record.code},
                    {"host", record.host},
                    {"model", record.model},
                    {"inputs", inputs},
                    {"started", record.started},
                    {"updated", record.updated},
                    {"units", {{"found", record.units.found}, {"made", record.units.made}, {"planned", record.units.planned}}},
                    {"journals", record.journals},
                    {"state", name_of(record.state)},
                    {"message", record.message}};
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

// A journal's directory is a name in the store, never a way out of it.
bool is_journal_name(const std::string& name) { return !name.empty() && name.find_first_not_of("0123456789abcdef-") == std::string::npos; }

Result<RunRecord> from_text(const std::string& text, const std::string& path) {
  const std::string who = "record of a run " + path;
  ASSAY_ASSIGN(const json in, parse_json(text, who, RepeatedKeys::kRefuse));
  RunRecord record;
  try {
    const int format = in.at("assay_run").get<int>();
    if (format != kFormat)
      return fail(ErrorCode::kUnsupported, {who, "has format " + std::to_string(format), "this program reads format 1",
                                            format > kFormat ? "written by a newer assay" : "written by an older assay"});
    in.at("id").get_to(record.id);
    in.at("command").get_to(record.command);
    in.at("arguments").get_to(record.arguments);
    in.at("directory").get_to(record.directory);
    in.at("version").get_to(record.version);
    in.at("code").get_to(record.code);
    in.at("host").get_to(record.host);
    in.at("model").get_to(record.model);
    for (const json& input : in.at("inputs"))
      record.inputs.push_back({input.at("path").get<std::string>(), input.at("sha256").get<std::string>()});
    in.at("started").get_to(record.started);
    in.at("updated").get_to(record.updated);
    const json& units = in.at("units");
    record.units = {units.at("found").get<uint64_t>(), units.at("made").get<uint64_t>(), units.at("planned").get<uint64_t>()};
    in.at("journals").get_to(record.journals);
    in.at("message").get_to(record.message);
    const auto state = in.at("state").get<std::string>();
    const auto known = std::find_if(std::begin(kStates), std::end(kStates), [&](RunState s) { return state == name_of(s); });
    if (known == std::end(kStates)) return fail(ErrorCode::kBadInput, {who, "has state '" + printable(state) + "'", "", ""});
    record.state = *known;
  } catch (const json::exception& error) {
    return fail(ErrorCode::kBadInput, {who, "is not one", "", printable(error.what())});
  }
  const bool names = std::all_of(record.journals.begin(), record.journals.end(), is_journal_name);
  if (!is_id(record.id) || !names) return fail(ErrorCode::kBadInput, {who, "names files outside the store", "", "changed by hand?"});
  return record;
}

Result<RunRecord> read_record(const std::string& store, const std::string& id) {
  const std::string path = file_of(store, id, ".json");
  ASSAY_ASSIGN(const std::string text, read_text_file(path, kMaxRecordBytes));
  ASSAY_ASSIGN(RunRecord record, from_text(text, path));
  if (record.id != id) return fail(ErrorCode::kBadInput, {"record of a run " + path, "is that of " + record.id, "", "copied?"});
  const bool held = FileLock::is_held(file_of(store, id, ".lock"));
  if (held) record.state = RunState::kRunning;
  if (!held && record.state == RunState::kRunning) record.state = RunState::kInterrupted;
  return record;
}

}  // namespace

const char* name_of(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kInterrupted:
      return "interrupted";
    case RunState::kFailed:
      return "failed";
    case RunState::kDone:
      return "done";
  }
  return "";
}

RunLog::RunLog(std::string store, RunRecord record, FileLock lock)
    : store_(std::move(store)), record_(std::move(record)), lock_(std::move(lock)) {}

Result<std::optional<RunLog>> RunLog::begin(const std::string& store, RunRecord record) {
  std::error_code error;
  fs::create_directories(store + "/runs", error);
  if (error) return fail(ErrorCode::kIo, {"store " + store, "cannot be made", "a writable directory", error.message()});
  record.id = id_of(record);
  ASSAY_ASSIGN(std::optional<FileLock> lock, FileLock::take(file_of(store, record.id, ".lock")));
  if (!lock) return std::optional<RunLog>();
  record.started = now();
  if (const auto earlier = read_record(store, record.id)) record.started = earlier->started;
  record.state = RunState::kRunning;
  RunLog log(store, std::move(record), *std::move(lock));
  ASSAY_TRY(log.write());
  return std::optional<RunLog>(std::move(log));
}

Status RunLog::write() {
  written_ = std::chrono::steady_clock::now();
  record_.updated = now();
  OutputOptions output;
  output.force = true;
  return write_text_file(file_of(store_, record_.id, ".json"), to_text(record_), output);
}

void RunLog::works_in(const std::string& directory) {
  const std::string name = fs::path(directory).filename().string();
  if (std::find(record_.journals.begin(), record_.journals.end(), name) != record_.journals.end()) return;
  record_.journals.push_back(name);
  (void)write();
}

void RunLog::units(const UnitCounts& counts) {
  record_.units = counts;
  if (std::chrono::steady_clock::now() - written_ >= kWriteAfter) (void)write();
}

Status RunLog::finish(RunState state, const std::string& message, const std::string& report) {
  record_.state = state;
  record_.message = message;
  OutputOptions output;
  output.force = true;
  if (!report.empty()) ASSAY_TRY(write_text_file(file_of(store_, record_.id, ".report.json"), report, output));
  return write();
}

Result<RunList> list_runs(const std::string& store) {
  RunList list;
  std::error_code error;
  const std::string directory = store + "/runs";
  if (!fs::exists(directory, error)) return list;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string id = at->path().stem().string();
    if (at->path().extension() != ".json" || !is_id(id)) continue;
    auto record = read_record(store, id);
    if (record)
      list.runs.push_back(*std::move(record));
    else
      list.warnings.push_back(record.error().message);
  }
  if (error) return fail(ErrorCode::kIo, {"store " + store, "cannot be listed", "", error.message()});
  std::sort(list.runs.begin(), list.runs.end(),
            [](const RunRecord& a, const RunRecord& b) { return std::tie(a.updated, a.id) < std::tie(b.updated, b.id); });
  return list;
}

Result<RunRecord> find_run(const std::string& store, const std::string& prefix) {
  ASSAY_ASSIGN(RunList list, list_runs(store));
  std::erase_if(list.runs, [&](const RunRecord& run) { return prefix.empty() || !run.id.starts_with(prefix); });
  const std::string who = "run '" + printable(prefix) + "'";
  if (list.runs.empty()) return fail(ErrorCode::kNotFound, {who, "is not in the store " + store, "`assay status` lists the runs", ""});
  if (list.runs.size() > 1)
    return fail(ErrorCode::kUsage, {who, "is the beginning of " + std::to_string(list.runs.size()) + " runs", "more digits", ""});
  return list.runs[0];
}

Result<std::string> run_report(const std::string& store, const RunRecord& record) {
  return read_text_file(file_of(store, record.id, ".report.json"), kMaxReportBytes);
}

Status forget_run(const std::string& store, const RunRecord& record) {
  const std::string lock_path = file_of(store, record.id, ".lock");
  ASSAY_ASSIGN(const std::optional<FileLock> lock, FileLock::take(lock_path));
  if (!lock) return {};
  std::error_code error;
  for (const char* suffix : {".report.json", ".json", ".lock"}) fs::remove(file_of(store, record.id, suffix), error);
  return {};
}

std::vector<std::string> changes_since(const RunRecord& record, const std::vector<RunInput>& inputs, const std::string& code) {
  std::vector<std::string> changes;
  for (const RunInput& then : record.inputs) {
    const auto now_there = std::find_if(inputs.begin(), inputs.end(), [&](const RunInput& input) { return input.path == then.path; });
    if (now_there == inputs.end() || now_there->sha256.empty())
      changes.push_back("input " + printable(then.path, 300) + " is not there any more");
    else if (now_there->sha256 != then.sha256)
      changes.push_back("input " + printable(then.path, 300) + " has other bytes");
  }
  if (code != record.code) changes.push_back("the program is another build");
  return changes;
}

}  // namespace assay
