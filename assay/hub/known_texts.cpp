#include "assay/hub/known_texts.h"

#include <algorithm>
#include <filesystem>

#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/file/zip.h"

namespace assay {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

}  // namespace

const std::vector<KnownText>& known_texts() {
  // WikiText-2 raw (Merity et al. 2016), the archive that llama.cpp's scripts fetch. The other copy on the hub is parquet.
  static const std::vector<KnownText> texts = {
      {"wikitext-2:test", "ggml-org/ci", "wikitext-2-raw-v1.zip", "wikitext-2-raw/wiki.test.raw"},
      {"wikitext-2:validation", "ggml-org/ci", "wikitext-2-raw-v1.zip", "wikitext-2-raw/wiki.valid.raw"},
      {"wikitext-2:train", "ggml-org/ci", "wikitext-2-raw-v1.zip", "wikitext-2-raw/wiki.train.raw"},
  };
  return texts;
}

const KnownText* find_known_text(std::string_view name) {
  const auto found = std::find_if(known_texts().begin(), known_texts().end(), [&](const KnownText& text) { return text.name == name; });
  return found == known_texts().end() ? nullptr : &*found;
}

bool names_known_text(std::string_view name) {
  const auto family = [](std::string_view text) { return text.substr(0, text.find(':')); };
  return std::any_of(known_texts().begin(), known_texts().end(), [&](const KnownText& text) { return family(text.name) == family(name); });
}

Result<std::string> fetch_known_text(const KnownText& text, const std::string& directory, const HubSettings& settings,
                                     const OpenTransfers& open_transfers, Progress& progress) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(directory) / text.entry;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return path.string();
  FetchRequest request;
  ASSAY_ASSIGN(request.repository, parse_repository_id(text.repository, RepositoryKind::kDataset));
  request.patterns = {text.archive};
  ASSAY_ASSIGN(const FetchResult fetched, fetch(request, settings, open_transfers, progress));
  ASSAY_ASSIGN(const std::shared_ptr<ByteSource> archive, open_file(fetched.path));
  ASSAY_ASSIGN(const std::string content, read_zip_entry(*archive, text.entry, kMaxTextBytes));
  fs::create_directories(path.parent_path(), error);
  if (error) return system_error(path.string(), "creating its directory", error.value());
  ASSAY_TRY(write_text_file(path.string(), content, OutputOptions{.force = true}));
  return path.string();
}

}  // namespace assay
