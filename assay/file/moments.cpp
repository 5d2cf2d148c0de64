#include "assay/file/moments.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "assay/base/sha256.h"
#include "assay/base/text.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "assay.second_moments.1";
constexpr size_t kHashDigits = 64;

std::string shared_key(const std::string& tensor) { return "shared." + tensor; }
std::string hash_key(const std::string& tensor) { return "sha256." + tensor; }

uint64_t bytes_of(const MomentInput& input) { return input.width * input.width * sizeof(float); }

std::string hash_of(std::span<const float> matrix) {
  Sha256 hash;
  hash.add(std::as_bytes(matrix));
  return hash.hex();
}

// The file's header, `reserve` bytes longer than it has to be: what is learned later takes their place.
Result<std::string> header_text(const MomentsHeader& header, const std::map<std::string, std::string>& late, uint64_t bytes) {
  nlohmann::json tree;
  nlohmann::json metadata = {{"format", kFormat}, {"tokens", std::to_string(header.tokens)}};
  for (const auto& [key, value] : header.provenance) metadata[key] = value;
  for (const auto& [key, value] : late) metadata[key] = value;
  uint64_t at = 0;
  for (const MomentInput& input : header.inputs) {
    for (const std::string& other : input.shared) metadata[shared_key(other)] = input.tensor;
    tree[input.tensor] = {{"dtype", "F32"}, {"shape", {input.width, input.width}}, {"data_offsets", {at, at + bytes_of(input)}}};
    at += bytes_of(input);
  }
  tree["__metadata__"] = std::move(metadata);
  std::string text = tree.dump();
  if (bytes == 0) {
    bytes = text.size() + MomentsWriter::kReserve + header.inputs.size() * (kHashDigits + 128);
    bytes = (bytes + 7) / 8 * 8;
  }
  if (text.size() > bytes) return fail(ErrorCode::kInternal, "moments: the header's reserve is too small");
  text.append(bytes - text.size(), ' ');
  return text;
}

Status write_at(int file, const std::string& path, std::span<const std::byte> bytes, uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return system_error(path, "writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
    at += static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace

Result<MomentsFile> MomentsFile::open(const std::string& path) {
  ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(path));
  ASSAY_ASSIGN(Safetensors tensors, Safetensors::parse(std::move(source)));
  const auto& metadata = tensors.metadata();
  const auto value = [&](const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (value("format") != kFormat) {
    return fail(ErrorCode::kBadInput, {path, "is not a file of second moments", "its metadata must say format = " + std::string(kFormat),
                                       "`assay imatrix --full` writes one"});
  }
  MomentsFile file;
  file.path_ = path;
  const std::string tokens = value("tokens");
  const auto [end, error] = std::from_chars(tokens.data(), tokens.data() + tokens.size(), file.header_.tokens);
  if (error != std::errc{} || end != tokens.data() + tokens.size() || file.header_.tokens == 0)
    return fail(ErrorCode::kBadInput, {path + ": tokens", "is '" + printable(tokens) + "'", "a number above 0 is needed", ""});
  for (const SafetensorInfo& tensor : tensors.tensors()) {
    if (tensor.dtype != "F32" || tensor.shape.size() != 2 || tensor.shape[0] != tensor.shape[1] || tensor.shape[0] == 0)
      return fail(ErrorCode::kBadInput,
                  {path + ": '" + printable(tensor.name) + "'", "is not a square F32 matrix", "[inputs, inputs] is needed", ""});
    if (value(hash_key(tensor.name)).size() != kHashDigits)
      return fail(ErrorCode::kBadInput, {path + ": '" + printable(tensor.name) + "'", "has no hash", "", "an unfinished file?"});
    file.header_.inputs.push_back({tensor.name, {}, tensor.shape[0]});
  }
  for (const auto& [key, input] : metadata) {
    if (!key.starts_with("shared.")) {
      if (!key.starts_with("sha256.") && key != "format" && key != "tokens") file.header_.provenance[key] = input;
      continue;
    }
    const auto found = std::find_if(file.header_.inputs.begin(), file.header_.inputs.end(),
                                    [&, name = input](const MomentInput& one) { return one.tensor == name; });
    if (found == file.header_.inputs.end())
      return fail(ErrorCode::kBadInput,
                  {path + ": " + printable(key), "names '" + printable(input) + "'", "the file has no such matrix", ""});
    found->shared.push_back(key.substr(std::strlen("shared.")));
  }
  file.tensors_ = std::make_shared<const Safetensors>(std::move(tensors));
  return file;
}

const MomentInput* MomentsFile::find(std::string_view tensor) const {
  for (const MomentInput& input : header_.inputs)
    if (input.tensor == tensor || std::find(input.shared.begin(), input.shared.end(), tensor) != input.shared.end()) return &input;
  return nullptr;
}

Result<std::vector<float>> MomentsFile::read(const MomentInput& input) const {
  const SafetensorInfo* tensor = tensors_->find(input.tensor);
  std::vector<float> matrix(input.width * input.width);
  ASSAY_TRY(tensors_->read(*tensor, 0, std::as_writable_bytes(std::span(matrix))));
  if (hash_of(matrix) != tensors_->metadata().at(hash_key(input.tensor)))
    return fail(ErrorCode::kBadInput, {path_ + ": '" + printable(input.tensor) + "'", "is not what was hashed", "", "a damaged file"});
  return matrix;
}

struct MomentsWriter::State {
  std::string path, partial, done_path;
  MomentsHeader header;
  std::string text;  // the header as it is in the partial file
  int file = -1;
  std::vector<std::string> hashes;  // of the finished matrices
  std::map<std::string, std::string> notes;

  ~State() {
    if (file >= 0) ::close(file);
  }
  uint64_t offset_of(size_t input) const {
    uint64_t at = sizeof(uint64_t) + text.size();
    for (size_t i = 0; i < input; ++i) at += bytes_of(header.inputs[i]);
    return at;
  }
  // What an earlier writer of the same header has finished; nothing, or another header: it starts anew.
  void find_earlier() {
    const auto said = read_text_file(done_path, uint64_t{16} << 20);
    const auto source = open_file(partial);
    if (!said || !source) return;
    const nlohmann::json tree = nlohmann::json::parse(*said, nullptr, false);
    if (!tree.is_object() || !tree.contains("hashes") || !tree.contains("notes")) return;
    std::string there(text.size(), '\0');
    uint64_t length = 0;
    if (!(*source)->read(0, std::as_writable_bytes(std::span(&length, 1))) || length != text.size()) return;
    if (!(*source)->read(sizeof length, std::as_writable_bytes(std::span(there))) || there != text) return;
    try {
      tree["hashes"].get_to(hashes);
      tree["notes"].get_to(notes);
    } catch (const nlohmann::json::exception&) {
      hashes.clear();
      notes.clear();
    }
    if (hashes.size() > header.inputs.size()) hashes.clear();
  }
  Status write_done() const {
    return write_text_file(done_path, nlohmann::json{{"hashes", hashes}, {"notes", notes}}.dump() + "\n", {true, {}, 0});
  }
  Status write_header(const std::string& header_bytes) const {
    const uint64_t length = header_bytes.size();
    ASSAY_TRY(write_at(file, partial, std::as_bytes(std::span(&length, 1)), 0));
    return write_at(file, partial, std::as_bytes(std::span(header_bytes)), sizeof length);
  }
};

MomentsWriter::MomentsWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
MomentsWriter::MomentsWriter(MomentsWriter&&) noexcept = default;
MomentsWriter& MomentsWriter::operator=(MomentsWriter&&) noexcept = default;
MomentsWriter::~MomentsWriter() = default;

Result<MomentsWriter> MomentsWriter::create(const std::string& path, const MomentsHeader& header, const OutputOptions& options) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->partial = path + ".partial";
  state->done_path = path + ".partial.done";
  state->header = header;
  ASSAY_ASSIGN(state->text, header_text(header, {}, 0));
  {  // the output itself can be written, and there is room
    OutputOptions probe = options;
    probe.expected_bytes = state->offset_of(header.inputs.size());
    ASSAY_TRY(AtomicWriter::create(path, probe).map([](const AtomicWriter&) {}));
  }
  state->file = ::open(state->partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (state->file < 0) return system_error(state->partial, "opening", errno);
  state->find_earlier();
  if (state->hashes.empty()) {
    ASSAY_TRY(state->write_done());
    if (::ftruncate(state->file, 0) != 0) return system_error(state->partial, "truncating", errno);
    ASSAY_TRY(state->write_header(state->text));
  }
  return MomentsWriter(std::move(state));
}

size_t MomentsWriter::finished() const { return state_->hashes.size(); }

const std::map<std::string, std::string>& MomentsWriter::notes() const { return state_->notes; }

Status MomentsWriter::add(std::span<const float> matrix, const std::string& note) {
  State& state = *state_;
  const size_t next = finished();
  if (next >= state.header.inputs.size() || std::as_bytes(matrix).size() != bytes_of(state.header.inputs[next]))
    return fail(ErrorCode::kInternal, "moments: a matrix that was not announced");
  ASSAY_TRY(write_at(state.file, state.partial, std::as_bytes(matrix), state.offset_of(next)));
  if (::fdatasync(state.file) != 0) return system_error(state.partial, "syncing", errno);
  if (!note.empty()) state.notes[state.header.inputs[next].tensor] = note;
  state.hashes.push_back(hash_of(matrix));
  return state.write_done();
}

Result<std::vector<float>> MomentsWriter::read(size_t input) const {
  const MomentInput& which = state_->header.inputs[input];
  std::vector<float> matrix(which.width * which.width);
  ASSAY_ASSIGN(const auto source, open_file(state_->partial));
  ASSAY_TRY(source->read(state_->offset_of(input), std::as_writable_bytes(std::span(matrix))));
  return matrix;
}

Status MomentsWriter::commit(const std::map<std::string, std::string>& late) {
  State& state = *state_;
  if (finished() != state.header.inputs.size()) return fail(ErrorCode::kInternal, "moments: committed before the last matrix");
  std::map<std::string, std::string> entries = late;
  for (size_t i = 0; i < state.hashes.size(); ++i) entries[hash_key(state.header.inputs[i].tensor)] = state.hashes[i];
  ASSAY_ASSIGN(const std::string text, header_text(state.header, entries, state.text.size()));
  ASSAY_TRY(state.write_header(text));
  if (::fsync(state.file) != 0) return system_error(state.partial, "syncing", errno);
  std::error_code error;
  fs::rename(state.partial, state.path, error);
  if (error) return fail(ErrorCode::kIo, {state.path, "cannot be written", error.message(), ""});
  fs::remove(state.done_path, error);
  return {};
}

Status merge_moments(std::span<const MomentsFile> files, const std::string& path, const OutputOptions& options) {
  if (files.empty()) return fail(ErrorCode::kUsage, "moments: no files to merge");
  MomentsHeader header = files[0].header();
  header.tokens = 0;
  for (const MomentsFile& file : files) {
    header.tokens += file.header().tokens;
    const auto differs = [&](const std::string& what) {
      return fail(ErrorCode::kMismatch, {file.path(), what, "all files must be of one model", "moments of another model?"});
    };
    if (file.header().inputs.size() != header.inputs.size()) return differs("has another number of inputs than " + files[0].path());
    for (const MomentInput& input : header.inputs) {
      const MomentInput* other = file.find(input.tensor);
      if (other == nullptr) return differs("has no moments of '" + printable(input.tensor) + "'");
      if (other->width != input.width) return differs("has another width of '" + printable(input.tensor) + "'");
    }
    if (&file == &files[0]) continue;
    for (const auto& [key, value] : file.header().provenance) {
      std::string& mine = header.provenance[key];
      if (mine != value) mine += (mine.empty() ? "" : " + ") + value;
    }
  }
  ASSAY_ASSIGN(MomentsWriter writer, MomentsWriter::create(path, header, options));
  for (size_t i = writer.finished(); i < header.inputs.size(); ++i) {
    std::vector<double> sum(header.inputs[i].width * header.inputs[i].width);
    for (const MomentsFile& file : files) {
      ASSAY_ASSIGN(const std::vector<float> matrix, file.read(*file.find(header.inputs[i].tensor)));
      const double share = static_cast<double>(file.header().tokens) / static_cast<double>(header.tokens);
      for (size_t j = 0; j < sum.size(); ++j) sum[j] += share * static_cast<double>(matrix[j]);
    }
    std::vector<float> mean(sum.begin(), sum.end());
    ASSAY_TRY(writer.add(mean));
  }
  return writer.commit();
}

}  // namespace assay
