#include "assay/report/svg.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr std::string_view kFont = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif";

std::string stroke_attributes(const Stroke& stroke) {
  std::string text = fmt::format(R"( stroke="{}" stroke-width="{}")", stroke.colour, svg_number(stroke.width));
  if (stroke.opacity < 1) text += fmt::format(R"( stroke-opacity="{}")", svg_number(stroke.opacity));
  if (!stroke.dashes.empty()) text += fmt::format(R"( stroke-dasharray="{}")", stroke.dashes);
  return text;
}

std::string path_data(const std::vector<Spot>& spots) {
  std::string data;
  for (const Spot& spot : spots) {
    data += data.empty() ? "M" : "L";
    data += svg_number(spot.x) + " " + svg_number(spot.y);
  }
  return data;
}

std::string fill_attributes(std::string_view colour, double opacity) {
  std::string text = fmt::format(R"( fill="{}")", colour);
  if (opacity < 1) text += fmt::format(R"( fill-opacity="{}")", svg_number(opacity));
  return text;
}

// Corners of a marker of the circle's area, about, with radius 1.
std::vector<Spot> marker_corners(size_t shape) {
  switch (shape) {
    case 1:
      return {{-0.89, -0.89}, {0.89, -0.89}, {0.89, 0.89}, {-0.89, 0.89}};
    case 2:
      return {{0, -1.3}, {1.2, 0.8}, {-1.2, 0.8}};
    case 3:
      return {{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}};
    default:
      return {{0, 1.3}, {1.2, -0.8}, {-1.2, -0.8}};
  }
}

// Advance widths of DejaVu Sans for U+0020 to U+007E, in hundredths of the size.
constexpr std::array<unsigned char, 95> kAdvance = {
    32,  40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53,
    100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50,
    50,  61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};
constexpr double kBoldWider = 1.13;  // mean of DejaVu Sans Bold against DejaVu Sans, a to z

}  // namespace

std::string svg_number(double pixels) {
  std::string text = fmt::format("{:.2f}", pixels);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string svg_escape(std::string_view text) {
  std::string clean = printable(text, std::numeric_limits<size_t>::max());
  for (const std::string_view forbidden : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"})  // U+FFFE and U+FFFF
    for (size_t at = clean.find(forbidden); at != std::string::npos; at = clean.find(forbidden)) clean.replace(at, 3, "\uFFFD");
  std::string escaped;
  for (const char c : clean) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

double text_width(std::string_view text, double size, bool bold) {
  double hundredths = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte < 0x7F)
      hundredths += kAdvance[byte - 0x20];
    else if (byte >= 0xE3)
      hundredths += 100;  // CJK and beyond: full width
    else if (byte >= 0xC0)
      hundredths += 65;  // a letter of another alphabet, or a sign
  }
  return hundredths / 100 * size * (bold ? kBoldWider : 1);
}

std::vector<std::string> wrap_text(std::string_view text, double size, double width, bool bold) {
  std::vector<std::string> lines;
  if (text.empty()) return lines;
  for (const std::string& paragraph : split(text, '\n')) {
    std::string line;
    for (const std::string& word : split(paragraph, ' ')) {
      const std::string longer = line.empty() ? word : line + " " + word;
      if (!line.empty() && text_width(longer, size, bold) > width) {
        lines.push_back(std::move(line));
        line = word;
      } else {
        line = longer;
      }
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

void SvgWriter::open_group(std::string_view kind) { fmt::format_to(std::back_inserter(body_), "<g class=\"{}\">\n", svg_escape(kind)); }

void SvgWriter::close_group() { body_ += "</g>\n"; }

void SvgWriter::line(Spot from, Spot to, const Stroke& stroke) {
  fmt::format_to(std::back_inserter(body_), "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>\n", svg_number(from.x), svg_number(from.y),
                 svg_number(to.x), svg_number(to.y), stroke_attributes(stroke));
}

void SvgWriter::path(const std::vector<Spot>& spots, const Stroke& stroke) {
  fmt::format_to(std::back_inserter(body_), "<path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{}/>\n",
                 path_data(spots), stroke_attributes(stroke));
}

void SvgWriter::area(const std::vector<Spot>& spots, std::string_view colour, double opacity) {
  fmt::format_to(std::back_inserter(body_), "<path d=\"{}Z\"{}/>\n", path_data(spots), fill_attributes(colour, opacity));
}

void SvgWriter::close_datum(std::string_view note, std::string_view element) {
  if (note.empty())
    body_ += "/>\n";
  else
    fmt::format_to(std::back_inserter(body_), "><title>{}</title></{}>\n", svg_escape(note), element);
}

void SvgWriter::bar(Spot corner, double width, double height, std::string_view colour, double opacity, std::string_view note) {
  fmt::format_to(std::back_inserter(body_), "<rect class=\"datum\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}", svg_number(corner.x),
                 svg_number(corner.y), svg_number(width), svg_number(height), fill_attributes(colour, opacity));
  close_datum(note, "rect");
}

void SvgWriter::marker(size_t shape, Spot at, double radius, std::string_view colour, double opacity, std::string_view note, bool datum) {
  const std::string_view name = shape == 0 ? "circle" : "path";
  fmt::format_to(std::back_inserter(body_), "<{}{}", name, datum ? " class=\"datum\"" : "");
  if (shape == 0) {
    fmt::format_to(std::back_inserter(body_), R"( cx="{}" cy="{}" r="{}")", svg_number(at.x), svg_number(at.y), svg_number(radius));
  } else {
    std::vector<Spot> corners = marker_corners(shape);
    for (Spot& corner : corners) corner = {at.x + corner.x * radius, at.y + corner.y * radius};
    fmt::format_to(std::back_inserter(body_), R"( d="{}Z")", path_data(corners));
  }
  body_ += fill_attributes(colour, opacity) + R"( stroke="#ffffff" stroke-width="0.75")";
  close_datum(note, name);
}

void SvgWriter::text(Spot at, std::string_view words, const TextStyle& style) {
  std::string attributes = fmt::format(R"( font-size="{}" fill="{}")", svg_number(style.size), style.colour);
  if (style.anchor != Anchor::kStart) attributes += style.anchor == Anchor::kMiddle ? R"( text-anchor="middle")" : R"( text-anchor="end")";
  if (style.bold) attributes += R"( font-weight="bold")";
  if (style.halo) attributes += R"( stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke")";
  if (style.turn != 0)
    attributes += fmt::format(R"x( transform="rotate({} {} {})")x", svg_number(style.turn), svg_number(at.x), svg_number(at.y));
  fmt::format_to(std::back_inserter(body_), "<text x=\"{}\" y=\"{}\"{}>{}</text>\n", svg_number(at.x), svg_number(at.y), attributes,
                 svg_escape(words));
}

std::string SvgWriter::finish(double width, double height, std::string_view title, std::string_view description) && {
  std::string head = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\" font-family=\"{2}\">\n",
      svg_number(width), svg_number(height), kFont);
  if (!title.empty()) head += fmt::format("<title>{}</title>\n", svg_escape(title));
  if (!description.empty()) head += fmt::format("<desc>{}</desc>\n", svg_escape(description));
  head += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  return head + body_ + "</svg>\n";
}

}  // namespace assay
