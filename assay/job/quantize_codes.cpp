#include "assay/job/quantize_codes.h"

#include <filesystem>

#include "assay/job/code_source.h"
#include "assay/job/make_moments.h"
#include "assay/job/unit_store.h"

namespace assay {

Result<QuantizeCodesResult> quantize_codes(const QuantizeCodesOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  QuantizeOptions file = options.file;
  Imatrix imatrix;
  std::string moments_path = options.moments;
  ScratchMoments scratch;
  if (moments_path.empty()) {
    ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
    ASSAY_ASSIGN(const ProbeSet set, open_windows(options.calibration, model));
    ASSAY_ASSIGN(scratch, ScratchMoments::make(model, set, options.calibration.path, options.output + ".moments", progress));
    moments_path = scratch.path();
    if (file.imatrix == nullptr) {
      file.imatrix = &scratch.made().imatrix;
      file.imatrix_path = "computed from " + std::filesystem::path(options.calibration.path).filename().string();
    }
  }
  ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options.model));
  ASSAY_ASSIGN(const MomentsFile moments, MomentsFile::open(moments_path));
  ASSAY_TRY(check_moments(moments, *checkpoint));
  CodeSource source(*checkpoint, moments, options.codes, settings.threads, no_unit_cache(), 0);
  file.encode = source.encoder();
  QuantizeCodesResult result;
  ASSAY_ASSIGN(result.report, quantize_model(*checkpoint, file, options.output, progress));
  result.codes = source.reports();
  return result;
}

}  // namespace assay
