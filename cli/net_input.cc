#include "cli/net_input.h"

#include <charconv>

#include "cli/verbs.h"

namespace convkit::cli {

Shape parse_shape(const std::string& text) {
  std::vector<int64_t> extents;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int64_t extent = 0;
    const auto [after, error] = std::from_chars(at, end, extent);
    const bool is_sound = error == std::errc() && extent >= 1 && extent <= INT32_MAX &&
                          (after == end || ((*after == 'x' || *after == ',') && after + 1 != end));
    if (!is_sound || extents.size() + 1 > kMaxDim)
      throw UsageError(message("--input '", text,
                               "' is no shape; write batch, channels and sizes,"
                               " such as 1x3x224x224"));
    extents.push_back(extent);
    if (after == end) return Shape(extents);
    at = after + 1;
  }
}

std::vector<Tensor> random_inputs(const std::vector<graph::Value>& inputs, int64_t batch,
                                  const std::string& shape) {
  std::vector<Tensor> tensors;
  Generator random(1);
  for (const graph::Value& input : inputs) {
    Shape extents;
    if (tensors.empty() && !shape.empty()) {
      extents = parse_shape(shape);
    } else {
      if (!input.type.dims)
        throw UsageError(message("the file does not say the shape of the input '", input.name,
                                 "'; give it with --input 1x3x224x224"));
      std::vector<int64_t> list;
      for (const graph::Dim& dim : *input.type.dims) {
        if (!dim.known() && !list.empty())
          throw UsageError(message("the input '", input.name, "' is ", to_text(input.type),
                                   "; give its shape with --input 1x3x224x224"));
        list.push_back(dim.known() ? dim.extent : batch);
      }
      extents = Shape(list);
    }
    const DType type = input.type.dtype.value_or(DType::float32);
    tensors.push_back(is_floating(type) ? randn(extents, random).to(type) : zeros(extents, type));
  }
  return tensors;
}

}  // namespace convkit::cli
