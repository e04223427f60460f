#include "convkit/onnx/load.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "convkit/onnx/import.h"
#include "convkit/tensor/deferred.h"

namespace convkit {
namespace {

constexpr int64_t kFewestFloats = int64_t{1} << 14;

// Weights that a session lets go when it holds them in another form.
class Held final : public TensorSource {
 public:
  explicit Held(Tensor tensor) : tensor_(std::move(tensor)) {}
  void read_rows(int64_t first, int64_t count, void* target) const override {
    const int64_t row = tensor_.numel() / tensor_.size(0);
    std::copy_n(tensor_.data<float>() + first * row, count * row, static_cast<float*>(target));
  }
  bool holds_memory() const override { return true; }

 private:
  Tensor tensor_;
};

}  // namespace

infer::Session load(const std::string& path, const infer::SessionOptions& options) {
  return infer::Session(onnx::load_onnx(path, onnx::WeightsIn::file).graph, options);
}

infer::Session load(std::span<const uint8_t> bytes, const infer::SessionOptions& options) {
  graph::Graph graph = onnx::parse_onnx(bytes).graph;
  for (graph::Value& value : graph.values) {
    const Tensor& tensor = value.constant;
    if (!tensor.defined() || tensor.dtype() != DType::float32 || tensor.dim() < 1 ||
        tensor.numel() < kFewestFloats)
      continue;
    value.constant = deferred(tensor.shape(), DType::float32, std::make_shared<Held>(tensor));
  }
  return infer::Session(std::move(graph), options);
}

}  // namespace convkit
