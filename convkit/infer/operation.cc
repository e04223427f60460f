#include "convkit/infer/operation.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/infer/interpreter.h"

namespace convkit::infer {
namespace {

int64_t physical_memory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? pages * page : int64_t{1} << 32;
}

std::atomic<int64_t>& limit() {
  static std::atomic<int64_t> bytes = physical_memory();
  return bytes;
}

}  // namespace

void set_memory_limit(int64_t bytes) {
  CONVKIT_CHECK(bytes > 0, ValueError, "set_memory_limit: ", bytes, " bytes");
  limit() = bytes;
}

int64_t memory_limit() { return limit(); }

const Tensor& Call::input(std::size_t i) const {
  CONVKIT_CHECK(has(i), ValueError, "input ", i, " is not given");
  return inputs[i];
}

Integers Call::integers(std::string_view name, int64_t count, int64_t otherwise) const {
  const Integers& list = integers(name);
  if (list.empty()) return Integers(static_cast<std::size_t>(count), otherwise);
  CONVKIT_CHECK(std::ssize(list) == count, ShapeError, name, " ", list, " has ", list.size(),
                " numbers, but ", count, " are needed");
  return list;
}

void need_room(const Shape& shape, DType dtype) {
  // Extents beside a 0 count too: strides are products of them.
  int64_t bytes = static_cast<int64_t>(item_size(dtype));
  for (const int64_t extent : shape) bytes = checked_mul(bytes, std::max<int64_t>(extent, 1));
  const auto taken = static_cast<int64_t>(allocated_bytes());
  CONVKIT_CHECK(bytes <= limit() - taken, ValueError, "a tensor of ", dtype, " ", shape,
                " would take ", bytes, " bytes beside the ", taken, " in use; the limit is ",
                limit().load(), " (infer::set_memory_limit)");
}

Tensor make(const Shape& shape, DType dtype) {
  need_room(shape, dtype);
  return Tensor(shape, dtype);
}

Integers integers_of(const Tensor& tensor, const char* what) {
  CONVKIT_CHECK(!is_floating(tensor.dtype()), DTypeError, what, " is of ", tensor.dtype(),
                ", but should be integers");
  CONVKIT_CHECK(tensor.dim() <= 1, ShapeError, what, " has the shape ", tensor.shape(),
                ", but should be a list");
  return tensor.to(DType::int64).to_vector<int64_t>();
}

int64_t integer_of(const Tensor& tensor, const char* what) {
  CONVKIT_CHECK(tensor.numel() == 1, ShapeError, what, " has the shape ", tensor.shape(),
                ", but should be one number");
  return *tensor.to(DType::int64).data<int64_t>();
}

std::size_t normal_axis(int64_t axis, int64_t rank) {
  CONVKIT_CHECK(axis >= -rank && axis < rank, ShapeError, "axis ", axis, " is not one of ", rank,
                " (", -rank, " to ", rank - 1, ")");
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

Tensor for_kernels(const Tensor& x) {
  return x.dtype() == DType::float64 ? x : x.to(DType::float32);
}

void need_floating(const Call& call, std::size_t input) {
  CONVKIT_CHECK(is_floating(call.input(input).dtype()), DTypeError, "input ", input, " is ",
                call.input(input).dtype(), ", but the operator takes floating types");
}

void need_rank(const Call& call, std::size_t input, int64_t rank) {
  CONVKIT_CHECK(call.input(input).dim() >= rank, ShapeError, "input ", input, " has the shape ",
                call.input(input).shape(), ", but the operator needs at least ", rank, " axes");
}

}  // namespace convkit::infer
