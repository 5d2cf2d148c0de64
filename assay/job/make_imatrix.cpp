#include "assay/job/make_imatrix.h"

#include "assay/job/make_moments.h"
#include "assay/job/unit_store.h"
#include "assay/probe/collect_imatrix.h"

namespace assay {

Result<MakeImatrixResult> make_imatrix(const MakeImatrixOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  Imatrix earlier;
  for (const std::string& path : options.in_files) {
    ASSAY_ASSIGN(const Imatrix one, read_imatrix(path));
    ASSAY_TRY(earlier.merge(one));
  }
  MakeImatrixResult result;
  const auto finish = [&](const Imatrix& fresh) -> Result<Imatrix> {
    Imatrix all = earlier;
    ASSAY_TRY(all.merge(fresh));
    all.datasets.push_back(options.text.path);
    return all;
  };
  OutputOptions output;
  output.force = options.force;
  output.inputs = options.in_files;
  output.inputs.push_back(options.model);
  if (!options.text.path.empty() && options.text.path != "-") output.inputs.push_back(options.text.path);
  if (options.text.path.empty()) {  // merging alone
    result.imatrix = earlier;
    if (!options.full_in.empty()) {
      std::vector<MomentsFile> files;
      for (const std::string& path : options.full_in) {
        ASSAY_ASSIGN(MomentsFile file, MomentsFile::open(path));
        files.push_back(std::move(file));
      }
      output.inputs.insert(output.inputs.end(), options.full_in.begin(), options.full_in.end());
      ASSAY_TRY(merge_moments(files, options.full, output));
    }
  } else {
    ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
    ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
    result.windows = set.windows.size();
    result.tokens = set.windows.size() * set.ctx;
    if (!options.full.empty()) {
      ASSAY_ASSIGN(MadeMoments made, make_moments(model, set, options.text.path, options.process_output, options.full, output, progress));
      made.imatrix.datasets.clear();
      ASSAY_ASSIGN(result.imatrix, finish(made.imatrix));
      result.damping = std::move(made.damping);
      result.warnings = std::move(made.warnings);
    } else {
      ImatrixOptions collect;
      collect.process_output = options.process_output;
      collect.save_frequency = options.save_frequency;
      ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
      const auto units = imatrix_units(store, set.windows, options.process_output);
      ASSAY_ASSIGN(const Imatrix fresh, collect_imatrix(
                                            *model.network, set.windows, collect, progress,
                                            [&](const Imatrix& so_far) -> Status {
                                              ASSAY_ASSIGN(const Imatrix all, finish(so_far));
                                              return write_imatrix(options.output + ".at_" + std::to_string(so_far.chunk_count), all,
                                                                   options.format, output);
                                            },
                                            *units));
      ASSAY_ASSIGN(result.imatrix, finish(fresh));
      result.units = store.counts();
    }
  }
  if (!options.output.empty()) ASSAY_TRY(write_imatrix(options.output, result.imatrix, options.format, output));
  return result;
}

}  // namespace assay
