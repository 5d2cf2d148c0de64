// Every example figure as Python's XML parser and as the pixels of its PNG see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/file/test_files.h"
#include "tests/interop/python.h"
#include "tests/report/example_figures.h"

// Fontconfig keeps its tables of fonts until the process ends.
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }

namespace assay {
namespace {

void check(const auto& drawing, const std::string& name) {
  SCOPED_TRACE(name);
  testing_files::ScratchDirectory dir;
  const std::string svg = dir / (name + ".svg"), png = dir / (name + ".png");
  ASSERT_TRUE(write_figure(svg, drawing));
  const Status written = write_figure(png, drawing);
  ASSERT_TRUE(written) << written.error().message;
  const auto run = interop::run_shell("python3 " + interop::shell_quoted(ASSAY_SOURCE_DIR "/tests/interop/check_figure.py") + " " +
                                      interop::shell_quoted(svg) + " " + interop::shell_quoted(png));
  EXPECT_EQ(run.exit_code, 0) << run.output;
}

TEST(FigureInterop, SvgIsXmlAndPngShowsIt) {
  check(examples::rank_rank(), "rank_rank");
  check(examples::pruning(), "pruning");
  check(examples::convergence(), "convergence");
  check(examples::anatomy(), "anatomy");
  check(examples::change(), "change");
  check(examples::tensors(), "tensors");
  check(examples::cloud(), "cloud");
  check(examples::multiples(), "multiples");
  Figure odd = examples::change();
  odd.title = "<b> & \"q\" \x01 \xFF \xEF\xBF\xBF";
  odd.x.categories[0] = "a very long <name> that is turned";
  check(odd, "odd");
}

}  // namespace
}  // namespace assay
