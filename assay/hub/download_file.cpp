#include "assay/hub/download_file.h"

#include <fmt/format.h>

#include <charconv>
#include <mutex>
#include <optional>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/hub/checksum.h"
#include "assay/hub/part_file.h"

namespace assay {
namespace {

constexpr int kMaxRounds = 4;  // fresh starts after a change or with other bytes than listed

enum class Verdict {
  kGood,
  kChanged,   // another file under the same address than the one begun with
  kNoRanges,  // the server sends whole files only
  kBroken,    // the reply contradicts the listing or itself
};

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// "bytes 100-199/1000" -> first byte and size of the whole ("*": not told).
struct ContentRange {
  uint64_t begin = 0;
  std::optional<uint64_t> whole;
};
std::optional<ContentRange> content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  const auto begin = number(text.substr(0, dash));
  const std::string_view whole = text.substr(slash + 1);
  const auto size = number(whole);
  if (!begin || (!size && whole != "*")) return std::nullopt;
  return ContentRange{*begin, size};
}

// What one file's connections share.
struct Shared {
  HubClient& client;
  PartFile& parts;
  const RepositoryFile& file;
  const std::string& url;
  const std::string& who;
  ByteMeter& meter;
  const bool ranges;  // the server is asked for parts of the file
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex = {};
  std::string direct = {};  // where redirects led last time
  Verdict verdict = Verdict::kGood;
  Error error = {};
  bool failed = false;

  void end(Verdict reason, Error why = {}) {
    const std::lock_guard lock(mutex);
    if (!failed) verdict = reason, error = std::move(why);
    failed = true;
    stop = true;
  }
  std::string validator() {
    const std::lock_guard lock(mutex);
    return parts.validator();
  }
};

// Writes one reply to its part.
class PartSink final : public HttpSink {
 public:
  PartSink(Shared& shared, size_t part, bool ranged, bool conditional)
      : s_(shared), part_(part), ranged_(ranged), conditional_(conditional) {}

  bool begin(const HttpHead& head) override {
    const std::string etag(head.header("etag"));
    if (!same_entity(etag)) return give_up(Verdict::kChanged);
    if (!status_) return false;
    if (ranged_ && head.status == 200) return give_up(conditional_ && etag.empty() ? Verdict::kChanged : Verdict::kNoRanges);
    if (ranged_) {
      const auto range = content_range(head.header("content-range"));
      if (head.status != 206 || !range || range->begin != s_.parts.begin(part_) + s_.parts.done(part_))
        return broken("answers another range than asked for", "");
      if (range->whole && *range->whole != s_.file.size) return wrong_size(*range->whole);
    } else if (const auto length = number(head.header("content-length")); length && *length != s_.file.size) {
      return wrong_size(*length);
    }
    return true;
  }

  bool write(std::span<const std::byte> bytes) override {
    if (s_.parts.done(part_) + bytes.size() > s_.parts.end(part_) - s_.parts.begin(part_))
      return broken("sends more bytes than asked for", "");
    status_ = s_.parts.write(part_, bytes);
    if (!status_) return false;
    progressed_ |= !bytes.empty();
    s_.meter.add(static_cast<int64_t>(bytes.size()));
    return true;
  }

  bool progressed() const { return progressed_; }
  // Why the transfer was stopped from here; kGood and success if it was not.
  Verdict verdict() const { return verdict_; }
  const Status& status() const { return status_; }

 private:
  // The first strong tag counts for all parts; a reply without one is taken on trust, until the checksum.
  bool same_entity(const std::string& etag) {
    const std::lock_guard lock(s_.mutex);
    const std::string known = s_.parts.validator();
    if (known.empty() && !etag.empty() && !etag.starts_with("W/")) status_ = s_.parts.set_validator(etag);
    return known.empty() || etag.empty() || etag == known;
  }
  bool give_up(Verdict verdict) {
    verdict_ = verdict;
    return false;
  }
  bool broken(const std::string& found, const std::string& needed) {
    status_ = fail(ErrorCode::kBadInput, {s_.who, found, needed, "a broken proxy or mirror?"});
    return give_up(Verdict::kBroken);
  }
  bool wrong_size(uint64_t size) {
    return broken("has " + group_digits(size) + " bytes", "the listing says " + group_digits(s_.file.size));
  }

  Shared& s_;
  size_t part_;
  bool ranged_, conditional_;
  bool progressed_ = false;
  Verdict verdict_ = Verdict::kGood;
  Status status_;
};

Attempt try_once(Shared& s, int connection, PartSink& sink, const std::vector<std::string>& headers) {
  std::string address;
  {
    const std::lock_guard lock(s.mutex);
    address = s.direct.empty() ? s.url : s.direct;
  }
  Attempt got = s.client.attempt(connection, address, headers, sink, s.who, &s.stop);
  const std::lock_guard lock(s.mutex);
  if (got.kind == Attempt::Kind::kDone) {
    s.direct = got.url;
  } else if (address != s.url && got.kind == Attempt::Kind::kFatal && got.head.status >= 400) {
    got.kind = Attempt::Kind::kRetry;  // signed addresses end after a while: ask the hub again
    s.direct.clear();
  }
  return got;
}

void fetch_part(Shared& s, int connection, size_t part) {
  Patience patience(s.client);
  while (!s.parts.complete(part) && !s.stop) {
    if (!s.ranges && s.parts.done(part) > 0) {
      s.meter.add(-static_cast<int64_t>(s.parts.done(part)));
      if (const Status rewound = s.parts.rewind(part); !rewound) return s.end(Verdict::kBroken, rewound.error());
    }
    // A file of one part needs no range until there is something to go on from.
    const bool ranged = s.ranges && (s.parts.parts() > 1 || s.parts.done(part) > 0);
    std::vector<std::string> headers;
    const std::string validator = s.validator();
    if (ranged) {
      headers.push_back(fmt::format("Range: bytes={}-{}", s.parts.begin(part) + s.parts.done(part), s.parts.end(part) - 1));
      if (!validator.empty()) headers.push_back("If-Range: " + validator);
    }
    PartSink sink(s, part, ranged, !validator.empty());
    Attempt got = try_once(s, connection, sink, headers);
    if (!sink.status()) return s.end(Verdict::kBroken, sink.status().error());
    if (sink.verdict() != Verdict::kGood) return s.end(sink.verdict());
    if (got.kind == Attempt::Kind::kStopped) return s.end(Verdict::kBroken, make_error(ErrorCode::kInterrupted, s.who + ": interrupted"));
    if (got.kind == Attempt::Kind::kFatal) return s.end(Verdict::kBroken, got.error);
    if (got.kind == Attempt::Kind::kDone) {
      if (s.parts.complete(part)) return;
      got.error = make_error(ErrorCode::kIo, Complaint{s.who, "ends early", "", "a broken proxy or mirror?"});
    }
    // Without ranges the file begins anew each time: what arrived before the drop is no step forward.
    if (sink.progressed() && s.ranges) patience.progressed();
    if (const Status waited = patience.wait(got, &s.stop); !waited) return s.end(Verdict::kBroken, waited.error());
  }
}

// Every part once; kGood when all are complete.
Result<Verdict> fetch_parts(HubClient& client, PartFile& parts, const RepositoryFile& file, const std::string& url, const std::string& who,
                            ByteMeter& meter, bool ranges) {
  Shared shared{client, parts, file, url, who, meter, ranges};
  const int connections = std::max(1, client.settings().connections);
  const auto workers = static_cast<size_t>(std::min<uint64_t>(connections, parts.parts()));
  parallel_for(workers, static_cast<int>(workers), [&](size_t worker) {
    for (size_t part = shared.next++; part < parts.parts() && !shared.stop; part = shared.next++)
      fetch_part(shared, static_cast<int>(worker), part);
  });
  if (shared.failed && shared.verdict == Verdict::kBroken) return fail(shared.error);
  return shared.verdict;
}

// What the bytes on disk are; success: what was listed.
Status check(PartFile& parts, const RepositoryFile& file, const std::string& who) {
  ASSAY_TRY(parts.sync());
  ASSAY_ASSIGN(const std::string found, checksum_of_file(parts.path(), file.digest.size()));
  if (found == file.digest) return {};
  return fail(ErrorCode::kBadInput, {who, "has the checksum " + found, "the listing says " + file.digest, "a broken proxy or mirror?"});
}

}  // namespace

ByteMeter::ByteMeter(Progress& progress, uint64_t total) : progress_(progress) { progress_.stage_bytes("fetch", total); }

void ByteMeter::add(int64_t bytes) {
  done_ += bytes;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  const auto rate = static_cast<uint64_t>(seconds > 0 ? static_cast<double>(total()) / seconds : 0);
  progress_.update(total(), format_bytes(rate) + "/s");
}

Status download_file(HubClient& client, const std::string& url, const RepositoryFile& file, const std::string& target,
                     const std::string& who, ByteMeter& meter) {
  bool ranges = true;
  for (int round = 1;; ++round) {
    ASSAY_ASSIGN(const auto parts,
                 PartFile::open(target, file.size, ranges ? client.settings().part_bytes : std::max<uint64_t>(1, file.size)));
    const bool resumed = parts->done() > 0;
    ASSAY_ASSIGN(const Verdict verdict, fetch_parts(client, *parts, file, url, who, meter, ranges));
    Status status;
    if (verdict == Verdict::kGood) {
      status = check(*parts, file, who);
      if (status) return parts->move_to_target();
      if (status.error().code != ErrorCode::kBadInput) return status;
    }
    meter.add(-static_cast<int64_t>(parts->done()));
    if (verdict == Verdict::kNoRanges) ranges = false;
    if (verdict == Verdict::kChanged)
      status = fail(ErrorCode::kBadInput, {who, "changes while it is fetched", "", "a broken proxy or mirror?"});
    parts->remove();
    if (verdict == Verdict::kNoRanges && round < kMaxRounds) continue;
    // Bytes left by an earlier process may be what is wrong: those, and one accident, are forgiven.
    if (round >= (verdict == Verdict::kGood && !resumed ? 2 : kMaxRounds)) return status;
    client.progress().log(status.error().message + "; fetching it again");
  }
}

}  // namespace assay
