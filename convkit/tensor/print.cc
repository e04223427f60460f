#include <cmath>
#include <cstdio>

#include "convkit/tensor/convert.h"
#include "convkit/tensor/layout.h"
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
  std::vector<int64_t> strides;

  void element() {
    int64_t offset = 0;
    for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
    visit_dtype(tensor.dtype(), [&]<class T>() {
      const T value = tensor.data<T>()[offset];
      if constexpr (std::is_same_v<T, bool>) {
        text += value ? "True" : "False";
      } else if constexpr (std::is_integral_v<T>) {
        text += to_text(value);  // not by way of a double, which has 53 bits
      } else {
        char buffer[32];
        std::snprintf(buffer, sizeof buffer, "%.4g", to_double(value));
        text += buffer;
      }
    });
  }

  void axis(std::size_t depth) {
    if (tensor.numel() == 0) {  // however many empty rows there are
      text += "[]";
      return;
    }
    if (depth == static_cast<std::size_t>(tensor.dim())) return element();
    const int64_t extent = tensor.size(static_cast<int64_t>(depth));
    const bool innermost = depth + 1 == static_cast<std::size_t>(tensor.dim());
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
                  std::vector<int64_t>(static_cast<std::size_t>(tensor.dim())),
                  memory_strides(tensor.shape())};
  printer.axis(0);
  printer.text += ", shape=" + to_text(tensor.shape());
  if (tensor.dtype() != DType::float32)
    printer.text += ", dtype=" + std::string(name_of(tensor.dtype()));
  if (tensor.requires_grad()) printer.text += ", requires_grad=True";
  return printer.text + ")";
}

}  // namespace convkit
