#include "assay/report/raster.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <memory>

namespace assay {
namespace {

// The C interfaces of librsvg 2.46 or later, cairo and GLib, as their manuals give them: opaque pointers and plain numbers.
struct GError {
  uint32_t domain;
  int code;
  char* message;
};
struct RsvgRectangle {
  double x, y, width, height;
};
using WriteFunction = int (*)(void* closure, const unsigned char* data, unsigned length);  // cairo_status_t: 0 is success
constexpr int kArgb32 = 0;                                                                 // CAIRO_FORMAT_ARGB32

struct Library {
  void* (*rsvg_handle_new_from_data)(const uint8_t* data, size_t bytes, GError** error);
  int (*rsvg_handle_render_document)(void* handle, void* cairo, const RsvgRectangle* viewport, GError** error);
  void* (*cairo_image_surface_create)(int format, int width, int height);
  int (*cairo_surface_status)(void* surface);
  void (*cairo_surface_destroy)(void* surface);
  int (*cairo_surface_write_to_png_stream)(void* surface, WriteFunction write, void* closure);
  void* (*cairo_create)(void* surface);
  void (*cairo_destroy)(void* cairo);
  void (*g_object_unref)(void* object);
  void (*g_error_free)(GError* error);
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// Opened once and never closed: GLib does not survive that. A handle's symbols include those of the libraries it needs.
Result<Library> open_library() {
  void* opened = dlopen("librsvg-2.so.2", RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr)
    return fail(ErrorCode::kUnsupported, {"PNG", dlerror(), "librsvg draws PNG; SVG needs nothing", "install the package librsvg2-2"});
  Library library{};
  const bool whole = find(opened, "rsvg_handle_new_from_data", library.rsvg_handle_new_from_data) &&
                     find(opened, "rsvg_handle_render_document", library.rsvg_handle_render_document) &&
                     find(opened, "cairo_image_surface_create", library.cairo_image_surface_create) &&
                     find(opened, "cairo_surface_status", library.cairo_surface_status) &&
                     find(opened, "cairo_surface_destroy", library.cairo_surface_destroy) &&
                     find(opened, "cairo_surface_write_to_png_stream", library.cairo_surface_write_to_png_stream) &&
                     find(opened, "cairo_create", library.cairo_create) && find(opened, "cairo_destroy", library.cairo_destroy) &&
                     find(opened, "g_object_unref", library.g_object_unref) && find(opened, "g_error_free", library.g_error_free);
  if (!whole) return fail(ErrorCode::kUnsupported, {"PNG: librsvg", "lacks a function that is needed", "version 2.46 or later", ""});
  return library;
}

const Result<Library>& the_library() {
  static const Result<Library> library = open_library();
  return library;
}

using Owned = std::unique_ptr<void, void (*)(void*)>;

tl::unexpected<Error> refuse(const Library& library, GError* error) {
  const std::string message = error != nullptr ? error->message : "no reason given";
  if (error != nullptr) library.g_error_free(error);
  return fail(ErrorCode::kInternal, {"PNG: librsvg", "refuses the SVG: " + message, "", ""});
}

int append(void* closure, const unsigned char* data, unsigned length) {
  static_cast<std::string*>(closure)->append(reinterpret_cast<const char*>(data), length);
  return 0;
}

}  // namespace

Result<std::string> png_of_svg(std::string_view svg, double width, double height, double scale) {
  if (!the_library()) return fail(the_library().error());
  const Library& library = *the_library();
  GError* error = nullptr;
  const Owned handle(library.rsvg_handle_new_from_data(reinterpret_cast<const uint8_t*>(svg.data()), svg.size(), &error),
                     library.g_object_unref);
  if (handle == nullptr) return refuse(library, error);
  const double pixels_wide = std::ceil(width * scale), pixels_high = std::ceil(height * scale);
  if (!(pixels_wide >= 1 && pixels_high >= 1 && pixels_wide <= 32767 && pixels_high <= 32767))
    return fail(ErrorCode::kUsage, {"PNG", fmt::format("of {:g} x {:g} pixels", pixels_wide, pixels_high), "1 to 32,767 each", ""});
  const Owned surface(library.cairo_image_surface_create(kArgb32, static_cast<int>(pixels_wide), static_cast<int>(pixels_high)),
                      library.cairo_surface_destroy);
  if (library.cairo_surface_status(surface.get()) != 0)
    return fail(ErrorCode::kNoSpace, {"PNG", fmt::format("of {:g} x {:g} pixels", pixels_wide, pixels_high), "more memory", ""});
  {
    const Owned cairo(library.cairo_create(surface.get()), library.cairo_destroy);
    const RsvgRectangle viewport{0, 0, pixels_wide, pixels_high};
    if (library.rsvg_handle_render_document(handle.get(), cairo.get(), &viewport, &error) == 0) return refuse(library, error);
  }
  std::string png;
  if (library.cairo_surface_write_to_png_stream(surface.get(), append, &png) != 0)
    return fail(ErrorCode::kInternal, {"PNG: cairo", "cannot encode the image", "", ""});
  return png;
}

}  // namespace assay
