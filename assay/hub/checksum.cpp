#include "assay/hub/checksum.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>
#include <vector>

#include "assay/base/sha256.h"
#include "assay/file/byte_source.h"

namespace assay {
namespace {

Result<std::string> git_id_of_file(const std::string& path) {
  ASSAY_ASSIGN(const std::shared_ptr<ByteSource> source, open_file(path));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha1(), nullptr);
  const std::string head = fmt::format("blob {}", source->size());
  EVP_DigestUpdate(hash.get(), head.c_str(), head.size() + 1);
  std::vector<std::byte> piece(size_t{1} << 20);
  for (uint64_t at = 0; at < source->size(); at += piece.size()) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(piece.size(), source->size() - at)));
    ASSAY_TRY(source->read(at, piece));
    EVP_DigestUpdate(hash.get(), piece.data(), piece.size());
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(hash.get(), digest, &size);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace

Result<std::string> checksum_of_file(const std::string& path, size_t digits) {
  return digits == 64 ? sha256_of_file(path) : git_id_of_file(path);
}

}  // namespace assay
