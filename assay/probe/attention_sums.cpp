#include "assay/probe/attention_sums.h"

#include "assay/base/payload.h"

namespace assay {
namespace {

void add_to(std::vector<double>& to, const std::vector<double>& from) {
  if (to.empty()) to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

void add_to(std::vector<SecondMoment>& to, const std::vector<SecondMoment>& from) {
  to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i].add(from[i]);
}

void write(PayloadWriter& writer, const std::vector<SecondMoment>& moments) {
  writer.add(uint64_t{moments.size()});
  for (const SecondMoment& one : moments) {
    writer.add(one.count);
    writer.add(std::span<const double>(one.square), "second moment");
    writer.add(std::span<const double>(one.sum), "sum");
  }
}

constexpr uint64_t kMostHeads = 1 << 16, kMostLayers = 1 << 16;

std::vector<SecondMoment> read_moments(PayloadReader& reader) {
  std::vector<SecondMoment> moments;
  const uint64_t count = reader.number();
  for (uint64_t i = 0; i < count && count <= kMostHeads && !reader.failed(); ++i) {
    SecondMoment one;
    one.count = reader.number();
    one.square = reader.reals();
    one.sum = reader.reals();
    moments.push_back(std::move(one));
  }
  return moments;
}

bool is_whole(const std::vector<SecondMoment>& moments) {
  for (const SecondMoment& one : moments)
    if (one.sum.size() * one.sum.size() != one.square.size() || one.sum.size() != moments[0].sum.size()) return false;
  return true;
}

}  // namespace

void SecondMoment::add(const SecondMoment& other) {
  count += other.count;
  add_to(square, other.square);
  add_to(sum, other.sum);
}

void AttentionSums::add(const AttentionSums& other) {
  if (diagnostics.empty()) {
    *this = other;
    return;
  }
  for (size_t i = 0; i < diagnostics.size(); ++i) {
    HeadDiagnostics& to = diagnostics[i];
    const HeadDiagnostics& from = other.diagnostics[i];
    to.queries += from.queries;
    to.ratio += from.ratio;
    to.margin += from.margin;
    to.stable += from.stable;
  }
  for (const auto& [layer, from] : other.moments) {
    LayerMoments& to = moments[layer];
    add_to(to.residual, from.residual);
    add_to(to.context, from.context);
    add_to(to.values, from.values);
  }
}

Result<std::string> to_payload(const AttentionSums& sums) {
  PayloadWriter writer;
  writer.add(uint64_t{static_cast<uint64_t>(sums.layers)});
  writer.add(uint64_t{static_cast<uint64_t>(sums.heads)});
  for (const HeadDiagnostics& one : sums.diagnostics) {
    writer.add(one.queries);
    writer.add(one.ratio, "p2 / p1");
    writer.add(one.margin, "p1 - p2");
    writer.add(one.stable);
  }
  writer.add(uint64_t{sums.moments.size()});
  for (const auto& [layer, moments] : sums.moments) {
    writer.add(uint64_t{static_cast<uint64_t>(layer)});
    write(writer, moments.residual);
    write(writer, moments.context);
    write(writer, moments.values);
  }
  return std::move(writer).finish();
}

Result<AttentionSums> attention_sums_from_payload(std::string_view payload) {
  PayloadReader reader(payload);
  AttentionSums sums;
  const uint64_t layers = reader.number(), heads = reader.number();
  if (layers > kMostLayers || heads > kMostHeads) return fail(ErrorCode::kBadInput, "store: a finished unit has too many heads");
  sums.layers = static_cast<int>(layers);
  sums.heads = static_cast<int>(heads);
  for (uint64_t i = 0; i < layers * heads && !reader.failed(); ++i) {
    HeadDiagnostics one;
    one.queries = reader.number();
    one.ratio = reader.real();
    one.margin = reader.real();
    one.stable = reader.number();
    sums.diagnostics.push_back(one);
  }
  const uint64_t with_moments = reader.number();
  for (uint64_t i = 0; i < with_moments && !reader.failed(); ++i) {
    const uint64_t layer = reader.number();
    LayerMoments moments;
    moments.residual = read_moments(reader);
    moments.context = read_moments(reader);
    moments.values = read_moments(reader);
    if (layer >= layers || moments.residual.size() != heads || moments.context.size() != heads || !is_whole(moments.residual) ||
        !is_whole(moments.context) || !is_whole(moments.values))
      return fail(ErrorCode::kBadInput, "store: a finished unit holds moments of other heads");
    sums.moments.emplace(static_cast<int>(layer), std::move(moments));
  }
  ASSAY_TRY(reader.finish());
  return sums;
}

}  // namespace assay
