// Fetching from a server that behaves, then from one that does not: one fault per test, against the same file and the same control.
#include "assay/hub/fetch.h"

#include <set>

#include "tests/hub/local_hub.h"

namespace assay {
namespace {

using hub_test::HubTest;
using hub_test::kCommit;
using hub_test::slurp;
namespace fs = std::filesystem;

class FetchTest : public HubTest {
 protected:
  // The failure of fetching under a fault; nothing may have got its name.
  Error failure(const std::vector<std::string>& faults) {
    serve(faults);
    const auto fetched = get(request());
    expect_nothing_named();
    EXPECT_FALSE(fetched);
    return fetched ? Error{} : fetched.error();
  }
  // Faults that are overcome.
  size_t requests_despite(const std::vector<std::string>& faults) {
    serve(faults);
    expect_whole(get(request()));
    return hub_->content_requests();
  }
};

void expect_words(const Error& error, ErrorCode code, const std::vector<std::string>& words) {
  EXPECT_EQ(name_of(error.code), name_of(code)) << error.message;
  for (const std::string& word : words) EXPECT_NE(error.message.find(word), std::string::npos) << word << " is not in: " << error.message;
}

TEST_F(FetchTest, ControlFetchesInPartsOnce) {
  serve();
  const auto fetched = get(request());
  expect_whole(fetched);
  EXPECT_EQ(fetched->commit, kCommit);
  EXPECT_EQ(fetched->bytes_fetched, large_.size());
  EXPECT_FALSE(fetched->files[0].was_there);
  EXPECT_EQ(hub_->content_requests(), 13u);  // parts of 100,000 bytes
  EXPECT_EQ(slurp(repository() / "refs" / "main"), kCommit);
  EXPECT_EQ(fs::read_symlink(fetched->path).string(), "../../blobs/" + sha256_hex(large_));
  const auto again = get(request());
  expect_whole(again);
  EXPECT_EQ(hub_->content_requests(), 13u);
  EXPECT_TRUE(again->files[0].was_there);
  EXPECT_EQ(again->bytes_fetched, 0u);
}

TEST_F(FetchTest, SmallFilesAreCheckedByGitsId) {
  serve();
  FetchRequest wanted = request();
  wanted.type.clear();
  wanted.patterns = {"README.md"};
  const auto fetched = get(wanted);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(slurp(fetched->path), "# a model\n");
  EXPECT_EQ(fetched->files[0].file.digest.size(), 40u);
}

TEST_F(FetchTest, EmptyFilesAreFetched) {
  add("models/owner/model-GGUF/empty.txt", "");
  serve();
  FetchRequest wanted = request();
  wanted.patterns = {"empty.txt"};
  const auto fetched = get(wanted);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(fs::is_regular_file(fetched->path));
}

TEST_F(FetchTest, OverOneConnectionOrInOnePart) {
  settings_.connections = 1;
  EXPECT_EQ(requests_despite({}), 13u);
  fs::remove_all(cache());
  serve();
  settings_.part_bytes = 10'000'000;
  expect_whole(get(request()));
  EXPECT_EQ(hub_->content_requests(), 1u);
}

TEST_F(FetchTest, GoesOnAfterDrops) {
  // Every dropped part is asked for again from where it broke off.
  EXPECT_EQ(requests_despite({"drop=8"}), 13u + 8u);
  std::set<std::string> begins;
  for (const auto& asked : hub_->requests())
    if (asked["headers"].contains("Range")) begins.insert(asked["headers"]["Range"].get<std::string>());
  EXPECT_EQ(begins.size(), 13u + 8u);
}

TEST_F(FetchTest, GoesOnAfterDropsOfAFileInOnePart) {
  serve({"drop=3"});
  settings_.part_bytes = 10'000'000;
  expect_whole(get(request()));
  EXPECT_EQ(hub_->content_requests(), 4u);
}

TEST_F(FetchTest, GivesUpWhereNothingComes) {
  expect_words(failure({"drop-all"}), ErrorCode::kIo, {"model-Q4_K_M.gguf", "given up after 6 tries"});
  EXPECT_LE(hub_->content_requests(), 10u + 4u * 6u);
  // What came is kept, and the next try needs only the rest.
  serve();
  const auto fetched = get(request());
  expect_whole(fetched);
  EXPECT_LT(fetched->bytes_fetched, large_.size());
}

TEST_F(FetchTest, EndsEarlyWithoutSaying) { EXPECT_GT(requests_despite({"truncate"}), 13u); }

TEST_F(FetchTest, ShorterLengthThanListed) {
  // A part that is too short is gone on with; a whole file that is too short is another file.
  EXPECT_GT(requests_despite({"short-length"}), 13u);
  fs::remove_all(cache());
  serve({"short-length", "no-ranges"});
  const auto fetched = get(request());
  ASSERT_FALSE(fetched);
  expect_words(fetched.error(), ErrorCode::kBadInput, {"has 617,283 bytes", "the listing says 1,234,567"});
  expect_nothing_named();
}

TEST_F(FetchTest, OtherSizeOfTheWhole) { expect_words(failure({"wrong-total"}), ErrorCode::kBadInput, {"has 1,234,574 bytes"}); }
TEST_F(FetchTest, OtherRangeThanAsked) { expect_words(failure({"other-range"}), ErrorCode::kBadInput, {"another range"}); }

TEST_F(FetchTest, ServerWithoutRanges) {
  requests_despite({"no-ranges"});
  fs::remove_all(cache());
  // A drop then means from the beginning.
  requests_despite({"no-ranges", "drop=2"});
}

TEST_F(FetchTest, RateLimited) {
  EXPECT_EQ(requests_despite({"status=429:3"}), 13u);
  fs::remove_all(cache());
  serve({"status=429:1:1"});
  settings_.connections = 1;
  const auto begin = std::chrono::steady_clock::now();
  expect_whole(get(request()));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST_F(FetchTest, RateLimitedForTooLong) {
  expect_words(failure({"status=429:1000:3600"}), ErrorCode::kIo, {"status 429", "asks to wait 3600 s"});
}

TEST_F(FetchTest, ServerInTrouble) {
  EXPECT_EQ(requests_despite({"status=503:3", "api-status=500:2"}), 13u);
  fs::remove_all(cache());
  expect_words(failure({"status=503:1000"}), ErrorCode::kIo, {"status 503", "given up after 6 tries"});
}

TEST_F(FetchTest, AddressesThatExpire) {
  settings_.connections = 1;
  EXPECT_EQ(requests_despite({"expire=5"}), 13u + 2u);
}

TEST_F(FetchTest, RedirectsWithoutEnd) { expect_words(failure({"loop"}), ErrorCode::kIo, {"redirected without end"}); }

TEST_F(FetchTest, OtherBytesThanListed) {
  expect_words(failure({"corrupt=1000"}), ErrorCode::kBadInput, {"has the checksum", sha256_hex(large_)});
  EXPECT_EQ(files_in(repository() / "blobs"), std::vector<std::string>{});
  // One accident is forgiven.
  requests_despite({"corrupt=1"});
  fs::remove_all(cache());
  serve({"corrupt-small"});
  FetchRequest wanted = request();
  wanted.patterns = {"README.md"};
  const auto small = get(wanted);
  ASSERT_FALSE(small);
  expect_words(small.error(), ErrorCode::kBadInput, {"README.md has the checksum"});
}

TEST_F(FetchTest, FileThatChangesWhileItIsFetched) {
  settings_.connections = 1;
  // From the sixth reply on there is another file, for good: not what the listing says.
  expect_words(failure({"change=5"}), ErrorCode::kBadInput, {"has the checksum"});
  bool conditional = false;
  for (const auto& asked : hub_->requests()) conditional |= asked["headers"].value("If-Range", "") == "\"" + sha256_hex(large_) + "\"";
  EXPECT_TRUE(conditional);
}

TEST_F(FetchTest, PathsOutsideTheRepository) {
  for (const std::string path : {"../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "a\\..\\b", "a\nb", ""}) {
    expect_words(failure({"bad-path=" + path}), ErrorCode::kBadInput, {"lists the path"});
    EXPECT_EQ(files_in(cache()), std::vector<std::string>{}) << path;
  }
  serve({"bad-path=a..b/.c"});  // unusual, but inside
  expect_whole(get(request()));
}

TEST_F(FetchTest, DigestsAndCommitsThatAreNone) {
  expect_words(failure({"bad-digest"}), ErrorCode::kBadInput, {"without its checksum"});
  expect_words(failure({"bad-commit"}), ErrorCode::kBadInput, {"without a commit"});
  EXPECT_EQ(files_in(scratch_ / "cache"), std::vector<std::string>{});
}

TEST_F(FetchTest, TheTokenGoesToTheHubAlone) {
  serve({"private", "other-host"});
  settings_.token = "hf_secret";
  expect_whole(get(request()));
  size_t with = 0, without = 0;
  for (const auto& asked : hub_->requests()) {
    const bool to_hub = asked["headers"]["Host"].get<std::string>().starts_with("127.0.0.1");
    EXPECT_EQ(asked["headers"].contains("Authorization"), to_hub) << asked;
    ++(to_hub ? with : without);
  }
  EXPECT_GT(with, 1u);
  EXPECT_EQ(without, 13u);
  for (const std::string& name : files_in(cache())) EXPECT_EQ(slurp(cache() / name).find("hf_secret"), std::string::npos) << name;
}

TEST_F(FetchTest, PrivateRepositories) {
  expect_words(failure({"private"}), ErrorCode::kNotFound, {"owner/model-GGUF", "HF_TOKEN"});
  settings_.token = "hf_wrong";
  const Error wrong = failure({"private"});
  expect_words(wrong, ErrorCode::kNotFound, {"the token given does not open it"});
  EXPECT_EQ(wrong.message.find("hf_wrong"), std::string::npos);
}

TEST_F(FetchTest, NamesThatAreNotThere) {
  serve();
  const auto repository = get(request("owner/other"));
  ASSERT_FALSE(repository);
  expect_words(repository.error(), ErrorCode::kNotFound, {"owner/other", "misspelt"});
  FetchRequest wanted = request();
  wanted.revision = "v9";
  const auto revision = get(wanted);
  ASSERT_FALSE(revision);
  expect_words(revision.error(), ErrorCode::kNotFound, {"at v9 has no such revision"});
  const auto type = get(request("owner/model-GGUF", "Q9_Z"));
  ASSERT_FALSE(type);
  expect_words(type.error(), ErrorCode::kNotFound, {"no GGUF of type 'Q9_Z'", "model-Q4_K_M (1.18 MiB)"});
}

TEST_F(FetchTest, RevisionsAreRememberedByName) {
  serve();
  for (const char* revision : {"v1", "refs/pr/1", kCommit}) {
    FetchRequest wanted = request();
    wanted.revision = revision;
    expect_whole(get(wanted));
  }
  EXPECT_EQ(files_in(repository() / "refs"), (std::vector<std::string>{"refs/pr/1", "v1"}));
  FetchRequest wanted = request();
  wanted.revision = "../../escaped";
  const auto escaped = get(wanted);
  ASSERT_FALSE(escaped);
  expect_words(escaped.error(), ErrorCode::kUsage, {"revision"});
}

TEST_F(FetchTest, TheCacheAloneWhenOffline) {
  settings_.offline = true;
  settings_.cache = cache().string();
  const auto empty = get(request());
  ASSERT_FALSE(empty);
  expect_words(empty.error(), ErrorCode::kNotFound, {"not in the cache", "HF_HUB_OFFLINE"});
  settings_.offline = false;
  serve();
  expect_whole(get(request()));
  const size_t asked = hub_->requests().size();
  settings_.offline = true;
  const auto found = get(request());
  expect_whole(found);
  EXPECT_TRUE(found->from_cache);
  EXPECT_EQ(found->files[0].file.digest, sha256_hex(large_));
  EXPECT_EQ(hub_->requests().size(), asked);
}

TEST_F(FetchTest, TheCacheWhenTheHubDoesNotAnswer) {
  serve();
  expect_whole(get(request()));
  struct Listener : Progress {
    void log(std::string_view line) override { lines += line; }
    std::string lines;
  } listener;
  settings_.endpoint = "http://127.0.0.1:1";  // nobody
  const auto fetched = get(request(), listener);
  expect_whole(fetched);
  EXPECT_TRUE(fetched->from_cache);
  EXPECT_NE(listener.lines.find("taking what is in the cache"), std::string::npos) << listener.lines;
  fs::remove_all(cache());
  const auto nothing = get(request());
  ASSERT_FALSE(nothing);
  expect_words(nothing.error(), ErrorCode::kIo, {"given up after 6 tries"});
}

TEST_F(FetchTest, ADryRunFetchesNothing) {
  serve();
  FetchRequest wanted = request();
  wanted.dry_run = true;
  const auto fetched = get(wanted);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->files.size(), 1u);
  EXPECT_FALSE(fetched->files[0].was_there);
  EXPECT_EQ(hub_->content_requests(), 0u);
  EXPECT_EQ(files_in(cache()), std::vector<std::string>{});
}

TEST_F(FetchTest, StopsWhenAskedAndGoesOnLater) {
  serve({"slow=1000000"});
  struct Stopper : Progress {
    void update(uint64_t done, std::string_view) override { seen = done; }
    bool interrupted() const override { return seen > 300'000; }
    std::atomic<uint64_t> seen{0};
  } stopper;
  const auto stopped = get(request(), stopper);
  ASSERT_FALSE(stopped);
  expect_words(stopped.error(), ErrorCode::kInterrupted, {"interrupted"});
  expect_nothing_named();
  serve();
  const auto fetched = get(request());
  expect_whole(fetched);
  EXPECT_LT(fetched->bytes_fetched, large_.size() - 250'000);
}

TEST_F(FetchTest, SpaceIsCheckedBeforeAnythingIsFetched) {
  serve();
  // A listing may promise more than any disk has.
  const std::string listing = R"({"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [{"rfilename": "x.gguf", "size": 5,
      "blobId": "0123456789abcdef0123456789abcdef01234567", "lfs": {"size": 4000000000000000000, "sha256":")" +
                              std::string(64, 'a') + R"("}}]})";
  struct Canned : TransferFactory, Transfer {
    explicit Canned(std::string text) : body(std::move(text)) {}
    std::unique_ptr<Transfer> open() override { return std::make_unique<Canned>(body); }
    HttpReply get(const HttpRequest& asked, HttpSink& sink, const std::function<bool()>&) override {
      EXPECT_NE(asked.url.find("/api/models/"), std::string::npos) << "a file was asked for";
      HttpReply reply{{200, {}, ""}, TransferEnd::kComplete};
      if (!sink.begin(reply.head) || !sink.write(std::as_bytes(std::span(body)))) reply.end = TransferEnd::kStopped;
      return reply;
    }
    std::string body;
  } canned(listing);
  const auto fetched =
      fetch(request("owner/model-GGUF", ""), settings_, [&] { return Result<TransferFactory*>(&canned); }, silent_progress());
  ASSERT_FALSE(fetched);
  expect_words(fetched.error(), ErrorCode::kNoSpace, {"3.47 EiB are needed"});
}

}  // namespace
}  // namespace assay
