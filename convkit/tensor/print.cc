#include <cmath>
#include <cstdio>

#include "convkit/tensor/convert.h"
#include "convkit/tensor/tensor.h"

namespace convkit {
namespace {

constexpr int64_t kEdgeItems = 3;        // shown at each end of an abridged axis
constexpr int64_t kSummaryAbove = 1000;  // elements, as in PyTorch

struct Printer {
  const Tensor& tensor;
  bool abridged;
  std::string text;
  std::vector<int64_t> index;

  void element() {
    const double value = tensor.at(std::span<const int64_t>(index));
    if (tensor.dtype() == DType::boolean) {
      text += value != 0 ? "True" : "False";
    } else if (!is_floating(tensor.dtype())) {
      text += to_text(static_cast<int64_t>(value));
    } else {
      char buffer[32];
      std::snprintf(buffer, sizeof buffer, "%.4g", value);
      text += buffer;
    }
  }

  void axis(std::size_t depth) {
    if (depth == static_cast<std::size_t>(tensor.rank())) return element();
    const int64_t extent = tensor.size(static_cast<int64_t>(depth));
    const bool innermost = depth + 1 == static_cast<std::size_t>(tensor.rank());
    text += "[";
    for (int64_t i = 0; i < extent; ++i) {
      if (i != 0) text += innermost ? ", " : ",\n" + std::string(8 + depth, ' ');
      if (abridged && extent > 2 * kEdgeItems && i == kEdgeItems) {
        text += "..., ";
        i = extent - kEdgeItems;
      }
      index[depth] = i;
      axis(depth + 1);
    }
    text += "]";
  }
};

}  // namespace

std::string to_text(const Tensor& tensor) {
  if (!tensor.defined()) return "tensor(undefined)";
  Printer printer{tensor, tensor.numel() > kSummaryAbove, "tensor(",
                  std::vector<int64_t>(static_cast<std::size_t>(tensor.rank()))};
  printer.axis(0);
  printer.text += ", shape=" + to_text(tensor.shape());
  if (tensor.dtype() != DType::float32)
    printer.text += ", dtype=" + std::string(name_of(tensor.dtype()));
  if (tensor.requires_grad()) printer.text += ", requires_grad=True";
  return printer.text + ")";
}

}  // namespace convkit
