// A stranger's program that reads nets: links convkit::onnx alone, and makes and runs a graph.
#include <convkit/graph/print.h>
#include <convkit/infer/interpreter.h>
#include <convkit/onnx/import.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace convkit;

int main() {
  graph::Graph g;
  const graph::ValueId x = g.add_input("x", {.dtype = DType::float32});
  const graph::ValueId two = g.add_constant("two", full({}, 2));
  g.outputs = {g.add_node(graph::Op::mul, "y", {x, two})};
  const std::vector<Tensor> y = infer::interpret(g, std::vector<Tensor>{full({3}, 21)});
  if (y.at(0).at({2}) != 42) return EXIT_FAILURE;
  try {
    const std::vector<uint8_t> none;
    onnx::parse_onnx(none, "none");
  } catch (const FormatError& error) {
    std::printf("%s%s\n", to_text(g).c_str(), error.what());
    return EXIT_SUCCESS;
  }
  return EXIT_FAILURE;
}
