#include "assay/score/published_truth.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <unordered_set>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"

namespace assay {
namespace {

constexpr uint64_t kMaxBytes = 256ULL << 20;
constexpr size_t kMostColumns = 1 << 16;
constexpr uint64_t kMostElements = 1ULL << 47;  // of one tensor, so that those of any table add up
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMostDimensions = 4;
constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// The lines of a text file, and complaints that name one. Not to be moved: the lines are views of the text.
struct Lines {
  std::string text;
  std::string who;  // "published table: kld_results.csv"
  std::vector<std::string_view> lines;

  tl::unexpected<Error> broken(size_t line, const std::string& field, std::string found, const std::string& needed,
                               std::string cause = {}) const {
    return fail(ErrorCode::kBadInput,
                {who + ": line " + group_digits(line + 1) + ": " + field, std::move(found), "needed " + needed, std::move(cause)});
  }
};

Result<std::unique_ptr<Lines>> read_lines(const ByteSource& source, const std::string& what) {
  auto result = std::make_unique<Lines>();
  result->who = what + ": " + printable(source.name(), 200);
  if (source.size() > kMaxBytes)
    return fail(ErrorCode::kBadInput,
                {result->who, "has " + format_bytes(source.size()), "needed at most " + format_bytes(kMaxBytes), "another kind of file"});
  result->text.resize(source.size());
  ASSAY_TRY(source.read(0, std::as_writable_bytes(std::span(result->text))));
  std::string_view rest = result->text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    result->lines.push_back(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  while (!result->lines.empty() && result->lines.back().empty()) result->lines.pop_back();
  if (result->lines.empty()) return fail(ErrorCode::kBadInput, {result->who, "is empty", "needed at least one line", "failed download"});
  return result;
}

std::vector<std::string_view> fields_of(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0;;) {
    const size_t end = line.find(separator, begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return fields;
    begin = end + 1;
  }
}

// Letters, digits, '_', '.', '-'.
bool is_name(std::string_view text) {
  const auto allowed = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  };
  return !text.empty() && text.size() <= kMaxNameBytes && std::all_of(text.begin(), text.end(), allowed);
}

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

struct Cell {
  double value = kNotMeasured;
  bool percent = false;
};

// "0.0054", "+0.03%", "404" and "404%".
bool parse_cell(std::string_view text, Cell& cell) {
  if (text.ends_with('%')) {
    cell.percent = true;
    text.remove_suffix(1);
  }
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0;
  if (!parse_whole(text, value) || !std::isfinite(value)) return false;
  if (value != 404) cell.value = value;
  return true;
}

// The value of "key=value".
Result<std::string_view> keyed(const Lines& file, size_t line, std::string_view field, const std::string& key) {
  if (field.substr(0, key.size() + 1) == key + "=") return field.substr(key.size() + 1);
  return file.broken(line, "field '" + key + "'", "is " + quoted(field), "'" + key + "=...' in its place", "truncated line");
}

Result<uint64_t> keyed_size(const Lines& file, size_t line, std::string_view field, const std::string& key) {
  ASSAY_ASSIGN(const std::string_view text, keyed(file, line, field, key));
  uint64_t value = 0;
  if (parse_whole(text, value)) return value;
  return file.broken(line, "field '" + key + "'", "is " + quoted(text), "a whole number");
}

// "(2048, 512, 256)", "(4096,)".
Result<std::vector<uint64_t>> read_shape(const Lines& file, size_t line, std::string_view text) {
  const auto wrong = [&] {
    return file.broken(line, "field 'shape'", "is " + quoted(text), "1 to " + std::to_string(kMostDimensions) + " sizes, '(4096, 512)'");
  };
  std::vector<uint64_t> shape;
  if (!text.starts_with('(') || !text.ends_with(')') || text.size() < 2) return wrong();
  auto parts = fields_of(text.substr(1, text.size() - 2), ',');
  if (parts.size() > 1 && parts.back().empty()) parts.pop_back();
  if (parts.size() > kMostDimensions) return wrong();
  for (std::string_view part : parts) {
    if (part.starts_with(' ')) part.remove_prefix(1);
    if (!parse_whole(part, shape.emplace_back()) || shape.back() == 0) return wrong();
  }
  return shape;
}

Result<MappedTensor> read_mapped(const Lines& file, size_t line) {
  const auto fields = fields_of(file.lines[line], ':');
  if (fields.size() < 7)
    return file.broken(line, "tensor", "has " + std::to_string(fields.size()) + " fields", "at least 7", "truncated, or not a tensor map");
  MappedTensor tensor;
  if (!is_name(fields[2])) return file.broken(line, "field 'name'", "is " + quoted(fields[2]), "a tensor name");
  tensor.name = fields[2];
  ASSAY_ASSIGN(const std::string_view shape, keyed(file, line, fields[3], "shape"));
  ASSAY_ASSIGN(tensor.shape, read_shape(file, line, shape));
  ASSAY_ASSIGN(const std::string_view dtype, keyed(file, line, fields[4], "dtype"));
  if (!is_name(dtype)) return file.broken(line, "field 'dtype'", "is " + quoted(dtype), "a type's name");
  tensor.dtype = dtype;
  ASSAY_ASSIGN(tensor.elements, keyed_size(file, line, fields[5], "elements"));
  ASSAY_ASSIGN(tensor.bytes, keyed_size(file, line, fields[6], "bytes"));
  CheckedSize product = 1;
  for (const uint64_t size : tensor.shape) product = product * CheckedSize(size);
  if (product.value() != tensor.elements)
    return file.broken(line, "field 'elements'", "is " + group_digits(tensor.elements), "the product of the shape " + printable(shape));
  if (tensor.elements > kMostElements)
    return file.broken(line, "field 'elements'", "is " + group_digits(tensor.elements), "at most " + group_digits(kMostElements));
  return tensor;
}

}  // namespace

Result<PublishedTable> read_published_table(const ByteSource& source) {
  ASSAY_ASSIGN(const std::unique_ptr<Lines> file, read_lines(source, "published table"));
  PublishedTable table;
  std::unordered_set<std::string_view> seen;
  const auto header = fields_of(file->lines[0], ',');
  if (header[0] != "QTYPE") return file->broken(0, "field 1", "is " + quoted(header[0]), "'QTYPE'", "not a table of this kind");
  if (header.size() < 2) return file->broken(0, "header", "names no tensor", "at least one");
  if (header.size() > kMostColumns)
    return file->broken(0, "header", "names " + group_digits(header.size() - 1) + " tensors", "fewer than " + group_digits(kMostColumns));
  for (size_t c = 1; c < header.size(); ++c) {
    const std::string field = "field " + group_digits(c + 1);
    if (!is_name(header[c])) return file->broken(0, field, "is " + quoted(header[c]), "a tensor name");
    if (!seen.insert(header[c]).second) return file->broken(0, field, "is " + quoted(header[c]) + " again", "each tensor once");
    table.columns.emplace_back(header[c]);
  }
  if (file->lines.size() < 2) return file->broken(0, "table", "has no row", "at least one type", "truncated download");
  bool have_cell = false;
  seen.clear();
  for (size_t line = 1; line < file->lines.size(); ++line) {
    const auto fields = fields_of(file->lines[line], ',');
    if (fields.size() != header.size())
      return file->broken(line, "row", "has " + group_digits(fields.size()) + " fields", "the header's " + group_digits(header.size()),
                          "truncated");
    if (!is_name(fields[0])) return file->broken(line, "field 'QTYPE'", "is " + quoted(fields[0]), "a type's name");
    if (!seen.insert(fields[0]).second) return file->broken(line, "field 'QTYPE'", "is " + quoted(fields[0]) + " again", "each type once");
    PublishedRow row{std::string(fields[0]), {}};
    for (size_t c = 1; c < fields.size(); ++c) {
      const std::string field = "field '" + table.columns[c - 1] + "'";
      Cell cell;
      if (!parse_cell(fields[c], cell)) return file->broken(line, field, "is " + quoted(fields[c]), "a finite number");
      row.values.push_back(cell.value);
      if (std::isnan(cell.value)) continue;  // 404 is written without a sign in tables of either kind
      if (have_cell && cell.percent != table.percent)
        return file->broken(line, field, "is " + quoted(fields[c]), table.percent ? "a percentage, as before" : "no percentage, as before");
      table.percent = cell.percent;
      have_cell = true;
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Result<std::vector<MappedTensor>> read_tensor_map(const ByteSource& source) {
  ASSAY_ASSIGN(const std::unique_ptr<Lines> file, read_lines(source, "tensor map"));
  std::vector<MappedTensor> tensors;
  std::unordered_set<std::string> seen;
  for (size_t line = 0; line < file->lines.size(); ++line) {
    ASSAY_ASSIGN(MappedTensor tensor, read_mapped(*file, line));
    if (!seen.insert(tensor.name).second)
      return file->broken(line, "field 'name'", "is " + quoted(tensor.name) + " again", "each tensor once");
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<TensorInfo> tensor_info(const MappedTensor& tensor) {
  TensorInfo info;
  info.name = tensor.name;
  const GgmlTypeInfo* type = find_type(std::string_view(tensor.dtype));
  if (type == nullptr)
    return fail(ErrorCode::kUnsupported, "tensor '" + tensor.name + "': type " + quoted(tensor.dtype) + " is not ggml's");
  info.type = type->type;
  info.n_dims = static_cast<uint32_t>(tensor.shape.size());
  std::copy(tensor.shape.begin(), tensor.shape.end(), info.dims.begin());
  info.bytes = tensor.bytes;
  return info;
}

MappedTensor mapped_tensor(const TensorInfo& tensor) {
  return {tensor.name,
          {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims},
          find_type(tensor.type)->name,
          tensor.elements(),
          tensor.bytes};
}

}  // namespace assay
