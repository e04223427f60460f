#include "convkit/base/memory.h"
#include "convkit/tensor/convert.h"
#include "convkit/tensor/layout.h"
#include "convkit/tensor/tensor.h"

namespace convkit {
namespace {

// Draws in logical order, so that a seed gives the same tensor whatever the memory order is.
// `fill` writes `count` floats or doubles; the types that files hold are converted from floats.
template <class Fill>
Tensor drawn(const Shape& shape, DType dtype, Fill fill) {
  CONVKIT_CHECK(is_floating(dtype), DTypeError, "random tensors are floating, not ", dtype);
  const int64_t count = shape.numel();
  const auto run = [&]<class T>(T) {
    Tensor tensor(shape, kDTypeOf<T>);
    if (is_row_major(shape)) {
      fill(tensor.mutable_data<T>(), count);
    } else {
      Buffer<T> logical(static_cast<std::size_t>(count));
      fill(logical.data(), count);
      row_major_to_memory(shape, sizeof(T), logical.data(), tensor.raw_mutable_data());
    }
    return tensor;
  };
  return dtype == DType::float64 ? run(double{}) : run(float{}).to(dtype);
}

}  // namespace

Tensor empty(const Shape& shape, DType dtype) { return Tensor(shape, dtype); }
Tensor zeros(const Shape& shape, DType dtype) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }
Tensor empty_like(const Tensor& other) { return Tensor(other.shape(), other.dtype()); }
Tensor zeros_like(const Tensor& other) { return zeros(other.shape(), other.dtype()); }
Tensor ones_like(const Tensor& other) { return ones(other.shape(), other.dtype()); }

Tensor full(const Shape& shape, double value, DType dtype) {
  Tensor tensor(shape, dtype);
  tensor.fill(value);
  return tensor;
}

Tensor arange(int64_t count, DType dtype) {
  CONVKIT_CHECK(count >= 0, ValueError, "arange: count (", count, ") cannot be negative");
  Tensor tensor({count}, dtype);
  visit_dtype(dtype, [&]<class T>() {
    T* data = tensor.mutable_data<T>();
    for (int64_t i = 0; i < count; ++i) data[i] = element_from_double<T>(static_cast<double>(i));
  });
  return tensor;
}

Tensor rand(const Shape& shape, Generator& generator, DType dtype) {
  return drawn(shape, dtype,
               [&](auto* values, int64_t count) { generator.fill_uniform(values, count); });
}

Tensor randn(const Shape& shape, Generator& generator, DType dtype) {
  return drawn(shape, dtype,
               [&](auto* values, int64_t count) { generator.fill_normal(values, count); });
}

Tensor from_raw(const void* values, int64_t count, const Shape& shape, DType dtype) {
  CONVKIT_CHECK(count == shape.numel(), ShapeError, count, " values cannot fill a tensor of ",
                shape, ", which has ", shape.numel(), " elements");
  Tensor tensor(shape, dtype);
  row_major_to_memory(shape, item_size(dtype), values, tensor.raw_mutable_data());
  return tensor;
}

}  // namespace convkit
