// Shapes and words as SVG text: fixed number formatting, everything escaped, presentation attributes only (no style sheet to lose).
// Also the widths of words, estimated: those of DejaVu Sans, which is wider than the faces preferred to it, so nothing runs over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay {

// Pixels, y downwards.
struct Spot {
  double x = 0;
  double y = 0;
};

struct Stroke {
  std::string_view colour = "#000000";
  double width = 1;
  double opacity = 1;
  std::string_view dashes = {};  // "5 3"; empty: whole
};

enum class Anchor { kStart, kMiddle, kEnd };

struct TextStyle {
  double size = 11;  // pixels
  std::string_view colour = "#333333";
  Anchor anchor = Anchor::kStart;
  bool bold = false;
  bool halo = false;  // a white edge, where words lie on a drawing
  double turn = 0;    // degrees, about the anchor
};

class SvgWriter {
 public:
  void open_group(std::string_view kind);  // <g class="kind">
  void close_group();
  void line(Spot from, Spot to, const Stroke& stroke);
  void path(const std::vector<Spot>& spots, const Stroke& stroke);
  void area(const std::vector<Spot>& spots, std::string_view colour, double opacity);
  // A mark of one datum: `note` is what a viewer shows under the pointer; empty: none.
  void bar(Spot corner, double width, double height, std::string_view colour, double opacity, std::string_view note);
  // `shape` 0 to 4: circle, square, triangle, diamond, triangle pointing down; `radius` of the circle.
  void marker(size_t shape, Spot at, double radius, std::string_view colour, double opacity, std::string_view note, bool datum = true);
  void text(Spot at, std::string_view words, const TextStyle& style);
  // The whole document; `title` and `description` are for those who cannot see it.
  std::string finish(double width, double height, std::string_view title, std::string_view description) &&;

 private:
  void close_datum(std::string_view note, std::string_view element);
  std::string body_;
};

// At most two digits after the point, none that are zero: the same text everywhere. "-0" is "0".
std::string svg_number(double pixels);
// XML's five characters escaped; control bytes and invalid UTF-8 as \xNN, what XML forbids as U+FFFD.
std::string svg_escape(std::string_view text);

// Estimated width in pixels.
double text_width(std::string_view text, double size, bool bold = false);
// Lines no wider than `width` pixels where words allow.
std::vector<std::string> wrap_text(std::string_view text, double size, double width, bool bold = false);

}  // namespace assay
