#pragma once

#include <string>

#include "convkit/io/safetensors.h"
#include "convkit/nn/module.h"

/// The net that a verb is about, whether trained or fresh.
namespace convkit::cli {

struct SubjectOptions {
  std::string what;     ///< a net by name, a run folder, or a weights file
  std::string input;    ///< a shape as typed, NxCxSIZES; empty: the net's usual one
  int64_t classes = 0;  ///< of a net by name; 0: its paper's
};

struct Subject {
  nn::AnyModule net;
  Shape input;       ///< with the batch
  std::string name;  ///< of the net, e.g. resnet18
  int64_t classes;
  std::string weights;    ///< the file they come from; empty: fresh ones
  io::Metadata metadata;  ///< the weights file's description; empty for a net by name
};

/// Whether `what` is to be read as an ONNX file: it is called so, or is a file of another name that
/// holds no weights (safetensors).
bool is_onnx_file(const std::string& what);

/// Throws UsageError for what was typed wrong, and what loading throws.
Subject find_subject(const SubjectOptions& options);

}  // namespace convkit::cli
