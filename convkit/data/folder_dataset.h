#pragma once

#include <string>

#include "convkit/data/sources.h"

namespace convkit::data {

/// The source `folder:DIR` of sources.h.
DatasetPtr open_folder(const std::string& folder, Split split, const OpenOptions& options);

}  // namespace convkit::data
