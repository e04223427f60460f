#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "convkit/infer/session.h"

/// A trained net from a file, ready to run:
///
///     auto net = convkit::load("model.onnx");
///     Tensor y = net(x);
namespace convkit {

/// Reads an ONNX file (onnx/import.h) and makes a session of it. Throws what load_onnx throws.
CONVKIT_API infer::Session load(const std::string& path, const infer::SessionOptions& options = {});
/// The same for the bytes of a file.
CONVKIT_API infer::Session load(std::span<const uint8_t> bytes,
                                const infer::SessionOptions& options = {});

}  // namespace convkit
