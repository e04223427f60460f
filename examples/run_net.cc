// Runs an ONNX net on one picture of numbers and prints the largest outputs.
#include <cstdio>
#include <exception>

#include "convkit/onnx/load.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_net model.onnx\n");
    return 2;
  }
  try {
    const auto net = convkit::load(argv[1]);
    const auto shape = net.inputs()[0].type.shape();
    if (!shape) {
      std::fprintf(stderr, "the net takes inputs of several shapes; this example does not\n");
      return 1;
    }
    convkit::Generator generator(1);
    const convkit::Tensor x = convkit::rand(*shape, generator);
    const convkit::Tensor y = net(x);
    std::printf("%s\n", to_text(y).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
