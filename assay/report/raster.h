// PNG from SVG, by librsvg (which draws with cairo and Pango). The library is opened when the first PNG is asked for, so that nothing else
// waits for it or needs it; its few functions used here are declared in raster.cpp.
// Non-goals: equal bytes on every machine (fonts differ); other formats.
#pragma once

#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

// `width` times `height` of the SVG, in its pixels; `scale` pixels of the PNG for each.
// Errors: kUnsupported (librsvg is not installed), kInternal (it refused the SVG), kNoSpace (no memory for the image).
Result<std::string> png_of_svg(std::string_view svg, double width, double height, double scale);

}  // namespace assay
