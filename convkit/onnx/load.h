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
///
/// Memory holds the weights once, as the steps read them. They are read from the file when a plan
/// first needs them, which is in the first run and in the first with other input shapes; until the
/// session ends the file stays open (onnx::WeightsIn::file says what becomes of changes to it).
CONVKIT_API infer::Session load(const std::string& path, const infer::SessionOptions& options = {});
/// The same for the bytes of a file, which need not outlive the call: their weights are copied.
/// What is packed for the steps takes the place of the copy where it holds the same numbers in
/// another order (all but Winograd's, Fourier's and grouped convolutions).
CONVKIT_API infer::Session load(std::span<const uint8_t> bytes,
                                const infer::SessionOptions& options = {});

}  // namespace convkit
