#pragma once

#include <string>
#include <vector>

#include "convkit/io/file.h"

namespace convkit::fuzz {

/// Small sound files for the reader of that name (readers.h), to be damaged: between them they use
/// every part of a format.
std::vector<io::Bytes> seeds_of(const std::string& reader);

}  // namespace convkit::fuzz
