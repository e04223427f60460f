#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// What is fuzzed: one function per reader of files, each in a file of its own. It takes any bytes,
/// gives them to the reader, and uses what comes out. It returns, or throws one of convkit's errors
/// (base/error.h); any other exception is a fault, and so are memory and time out of proportion to
/// the bytes.
///
/// fuzzer.cc makes a libFuzzer program of each (tools/fuzz); hostile_test.cc gives them the corpus
/// of tests/data_files/fuzz, the seeds of seeds.h, and what damage makes of these.
namespace convkit::fuzz {

using ByteView = std::span<const uint8_t>;

void safetensors(ByteView bytes);
void npy(ByteView bytes);
/// Plain, or compressed with gzip.
void idx(ByteView bytes);
/// The first byte says which of the two kinds.
void cifar(ByteView bytes);
/// PNG and JPEG.
void image(ByteView bytes);
/// A net, from the bytes to a run of its session on small inputs.
void onnx(ByteView bytes);
/// A net with a file beside it: two bytes with that file's length, its bytes, then the net.
void onnx_external(ByteView bytes);
/// A tensor in ONNX's form.
void tensor_proto(ByteView bytes);
/// A training run's config.json.
void config(ByteView bytes);
/// What a weights file says of itself.
void model_card(ByteView bytes);
/// The records of --autotune.
void tuning(ByteView bytes);

struct Reader {
  const char* name;  ///< the function's
  void (*read)(ByteView bytes);
};

inline const std::vector<Reader>& readers() {
  static const std::vector<Reader> all = {{"safetensors", safetensors},
                                          {"npy", npy},
                                          {"idx", idx},
                                          {"cifar", cifar},
                                          {"image", image},
                                          {"onnx", onnx},
                                          {"onnx_external", onnx_external},
                                          {"tensor_proto", tensor_proto},
                                          {"config", config},
                                          {"model_card", model_card},
                                          {"tuning", tuning}};
  return all;
}

}  // namespace convkit::fuzz
