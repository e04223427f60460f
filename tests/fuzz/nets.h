#pragma once

#include <vector>

#include "convkit/io/file.h"

namespace convkit::fuzz {

/// ONNX files of a few nodes, from every part of the operator list.
std::vector<io::Bytes> small_nets();
/// The same form as readers.h's onnx_external takes.
std::vector<io::Bytes> nets_with_data();
/// TensorProtos with raw data, with fields of each kind.
std::vector<io::Bytes> tensors_of_every_kind();

}  // namespace convkit::fuzz
