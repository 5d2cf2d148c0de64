// A directory that a command leaves its results in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"

namespace assay::cli {

class ResultsDirectory {
 public:
  ResultsDirectory(std::string path, const Common& common) : path_(std::move(path)), force_(common.force) {}

  bool wanted() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return (std::filesystem::path(path_) / name).string(); }
  OutputOptions output() const {
    OutputOptions output;
    output.force = force_;
    return output;
  }
  // Makes it, and refuses before the work, not after it, files that would be overwritten.
  Status prepare(const std::vector<std::string>& names) const {
    if (!wanted()) return {};
    std::error_code error;
    std::filesystem::create_directories(path_, error);
    if (error) return fail(ErrorCode::kIo, {"--results", path_ + " cannot be made", error.message(), ""});
    for (const std::string& name : names)
      if (!force_ && std::filesystem::exists(file(name), error))
        return fail(ErrorCode::kUsage, {"--results", file(name) + " exists", "another directory, or --force", ""});
    return {};
  }

 private:
  std::string path_;
  bool force_;
};

}  // namespace assay::cli
