#include "assay/file/foreign_format.h"

#include "assay/base/text.h"

namespace assay {

std::string foreign_format(std::string_view first_bytes) {
  struct Sign {
    std::string_view prefix;
    const char* meaning;
  };
  using namespace std::string_view_literals;
  static constexpr Sign kSigns[] = {
      {"version https://git-lfs"sv, "a Git LFS pointer: fetch the real file with 'git lfs pull'"},
      {"<!doctype"sv, "an HTML page: the download returned a web page, perhaps a log-in or error page"},
      {"<html"sv, "an HTML page: the download returned a web page, perhaps a log-in or error page"},
      {"<?xml"sv, "an XML document: the download returned an error message"},
      {"pk\x03\x04"sv, "a zip archive: perhaps a PyTorch checkpoint, or a download that must be unpacked"},
      {"\x1f\x8b"sv, "a gzip archive: unpack it first"},
      {"\x28\xb5\x2f\xfd"sv, "a zstd archive: unpack it first"},
      {"gguf"sv, "a GGUF file"},
      {"lmgg"sv, "a pre-GGUF ggml file: convert the original model again"},
      {"fmgg"sv, "a pre-GGUF ggml file: convert the original model again"},
      {"tjgg"sv, "a pre-GGUF ggml file: convert the original model again"},
      {"\x80\x02"sv, "a Python pickle: only safetensors and GGUF are read"},
      {"{\"error\""sv, "a JSON error message: the download failed"},
  };
  const std::string head = lower_ascii(first_bytes.substr(0, 64));
  const size_t start = head.find_first_not_of(" \t\r\n");
  const std::string_view text = start == std::string::npos ? std::string_view{} : std::string_view(head).substr(start);
  for (const Sign& sign : kSigns)
    if (std::string_view(head).starts_with(sign.prefix) || text.starts_with(sign.prefix)) return sign.meaning;
  if (head.size() > 8 && head[8] == '{' && head.find("\":{\"") != std::string::npos) return "a safetensors file";
  return {};
}

}  // namespace assay
