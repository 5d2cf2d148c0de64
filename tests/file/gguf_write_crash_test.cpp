// A writer killed at any moment leaves nothing, the old file or the whole new one under the final name.
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "assay/file/gguf.h"
#include "tests/file/test_files.h"

namespace assay {
namespace {

using testing_files::get_file;
using testing_files::put_file;
using testing_files::ScratchDirectory;
using Clock = std::chrono::steady_clock;

constexpr int kMoments = 150;

std::vector<TensorInfo> tensors() {
  std::vector<TensorInfo> list;
  for (int i = 0; i < 24; ++i) {
    TensorInfo info;
    info.name = "blk." + std::to_string(i) + ".weight";
    info.n_dims = 2;
    info.dims = {256, 300, 1, 1};
    list.push_back(info);
  }
  return list;
}

Status fill(const TensorInfo& info, std::span<std::byte> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 31 + info.offset);
  return {};
}

bool write(const std::string& path) { return write_gguf(path, {}, tensors(), fill, {.force = true}).has_value(); }

class KilledWriter : public ::testing::TestWithParam<bool> {};

TEST_P(KilledWriter, LeavesAWholeFileOrWhatWasThere) {
  const bool replaces = GetParam();
  const std::string old = replaces ? "the old file" : "";
  const ScratchDirectory scratch;
  const std::string path = scratch / "model.gguf";
  const auto start = Clock::now();
  ASSERT_TRUE(write(path));
  const auto duration = Clock::now() - start;
  const std::string whole = get_file(path);

  int finished = 0;
  int killed = 0;
  for (int moment = 0; moment < kMoments; ++moment) {
    std::filesystem::remove(path);
    if (replaces) put_file(path, old);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(write(path) ? 0 : 1);
    std::this_thread::sleep_for(duration * moment * 3 / (kMoments * 2));  // from at once to half as long again as it takes
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "the writer failed by itself";
    const std::string found = get_file(path);
    const bool is_whole = found == whole;
    const bool is_old = found == old && std::filesystem::exists(path) == replaces;
    ASSERT_TRUE(is_whole || is_old) << "moment " << moment << ": " << found.size() << " bytes";
    finished += is_whole;
    killed += is_old;
  }
  RecordProperty("whole", finished);
  RecordProperty("as_before", killed);
  EXPECT_GT(killed, 0) << "no child was killed while it wrote: the moments are badly chosen";
  // The last of the killed left its temporary file; the next writer takes it away.
  ASSERT_TRUE(write(path));
  EXPECT_EQ(get_file(path), whole);
  EXPECT_EQ(scratch.names().size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Targets, KilledWriter, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Replacing" : "New"; });

}  // namespace
}  // namespace assay
