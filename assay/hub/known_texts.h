// Texts by name: "wikitext-2:test" is the file that everyone measures perplexity on, fetched once and kept unpacked.
// Non-goals: datasets in parquet; texts that are not plain files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/hub/fetch.h"

namespace assay {

struct KnownText {
  const char* name;        // "wikitext-2:test"
  const char* repository;  // a dataset of the hub
  const char* archive;     // a zip in it
  const char* entry;       // the text in that
};

const std::vector<KnownText>& known_texts();
// nullptr: not a known name.
const KnownText* find_known_text(std::string_view name);
// True for "wikitext-2" and "wikitext-2:tset": meant as a known text, whether there is one or not.
bool names_known_text(std::string_view name);

// The unpacked file under `directory` (made if need be), fetched if it is not there. Errors: fetch()'s and the archive's.
Result<std::string> fetch_known_text(const KnownText& text, const std::string& directory, const HubSettings& settings,
                                     const OpenTransfers& open_transfers, Progress& progress);

}  // namespace assay
