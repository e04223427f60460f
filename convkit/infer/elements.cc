#include "convkit/infer/elements.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "convkit/tensor/convert.h"

namespace convkit::infer {
namespace {

constexpr std::size_t kMostOperands = 8;

// A box without axes of extent 1, ordered by the first operand's strides, with axes merged that
// every operand walks as one.
struct Box {
  Integers extents;
  std::vector<Integers> strides;
};

Box simplified(const Integers& extents, const std::vector<Integers>& strides) {
  std::vector<std::size_t> order;
  for (std::size_t axis = 0; axis < extents.size(); ++axis)
    if (extents[axis] != 1) order.push_back(axis);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(strides[0][a]) > std::abs(strides[0][b]);
  });
  Box box;
  box.strides.resize(strides.size());
  for (const std::size_t axis : order) {
    bool merges = !box.extents.empty();
    for (std::size_t k = 0; merges && k < strides.size(); ++k)
      merges = box.strides[k].back() == strides[k][axis] * extents[axis];
    if (merges) {
      box.extents.back() *= extents[axis];
      for (std::size_t k = 0; k < strides.size(); ++k) box.strides[k].back() = strides[k][axis];
    } else {
      box.extents.push_back(extents[axis]);
      for (std::size_t k = 0; k < strides.size(); ++k) box.strides[k].push_back(strides[k][axis]);
    }
  }
  return box;
}

}  // namespace

void for_each_row(const Integers& extents, const std::vector<Integers>& strides, const Row& row) {
  if (std::find(extents.begin(), extents.end(), 0) != extents.end()) return;
  CONVKIT_CHECK(strides.size() <= kMostOperands, ValueError, "too many operands");
  const Box box = simplified(extents, strides);
  int64_t offsets[kMostOperands] = {};
  int64_t steps[kMostOperands] = {};
  if (box.extents.empty()) {
    row(offsets, 1, steps);
    return;
  }
  const std::size_t last = box.extents.size() - 1;
  for (std::size_t k = 0; k < strides.size(); ++k) steps[k] = box.strides[k][last];
  Integers index(last, 0);
  for (;;) {
    row(offsets, box.extents[last], steps);
    std::size_t axis = last;
    while (axis > 0) {
      --axis;
      for (std::size_t k = 0; k < strides.size(); ++k) offsets[k] += box.strides[k][axis];
      if (++index[axis] < box.extents[axis]) break;
      for (std::size_t k = 0; k < strides.size(); ++k)
        offsets[k] -= box.strides[k][axis] * box.extents[axis];
      index[axis] = 0;
      if (axis == 0) return;
    }
    if (last == 0) return;
  }
}

Place place_of(Tensor& tensor) {
  return {tensor.raw_mutable_data(), memory_strides(tensor.shape())};
}

ConstPlace place_of(const Tensor& tensor) {
  return {tensor.raw_data(), memory_strides(tensor.shape())};
}

const void* advance(const void* data, int64_t count, std::size_t item) {
  return static_cast<const std::byte*>(data) + count * static_cast<int64_t>(item);
}

void* advance(void* data, int64_t count, std::size_t item) {
  return static_cast<std::byte*>(data) + count * static_cast<int64_t>(item);
}

void copy(const Integers& extents, std::size_t item, const Place& target,
          const ConstPlace& source) {
  for_each_row(extents, {target.strides, source.strides},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 auto* to = static_cast<std::byte*>(advance(target.data, offsets[0], item));
                 const auto* from =
                     static_cast<const std::byte*>(advance(source.data, offsets[1], item));
                 if (steps[0] == 1 && steps[1] == 1) {
                   std::memcpy(to, from, static_cast<std::size_t>(count) * item);
                   return;
                 }
                 const auto bytes = static_cast<int64_t>(item);
                 for (int64_t i = 0; i < count; ++i)
                   std::memcpy(to + i * steps[0] * bytes, from + i * steps[1] * bytes, item);
               });
}

Integers stretched_strides(const Shape& shape, const Shape& target) {
  const Integers own = memory_strides(shape);
  Integers strides(static_cast<std::size_t>(target.dim()), 0);
  const int64_t missing = target.dim() - shape.dim();
  for (int64_t axis = 0; axis < shape.dim(); ++axis)
    if (shape[axis] != 1)
      strides[static_cast<std::size_t>(axis + missing)] = own[static_cast<std::size_t>(axis)];
  return strides;
}

void load(DType dtype, const void* data, int64_t offset, int64_t step, int64_t count, double* to) {
  visit_dtype(dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = to_double(from[i * step]);
  });
}

void load(DType dtype, const void* data, int64_t offset, int64_t step, int64_t count, int64_t* to) {
  visit_dtype(dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_integral_v<T>) {
        to[i] = static_cast<int64_t>(from[i * step]);  // NOLINT(bugprone-signed-char-misuse): int8
      } else {
        to[i] = element_from_double<int64_t>(to_double(from[i * step]));
      }
    }
  });
}

void store(DType dtype, void* data, int64_t offset, int64_t step, int64_t count,
           const double* from) {
  visit_dtype(dtype, [&]<class T>() {
    T* to = static_cast<T*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i * step] = element_from_double<T>(from[i]);
  });
}

void store(DType dtype, void* data, int64_t offset, int64_t step, int64_t count,
           const int64_t* from) {
  visit_dtype(dtype, [&]<class T>() {
    T* to = static_cast<T*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<T, bool>) {
        to[i * step] = from[i] != 0;
      } else if constexpr (std::is_integral_v<T>) {
        to[i * step] = static_cast<T>(from[i]);
      } else {
        to[i * step] = element_from_double<T>(static_cast<double>(from[i]));
      }
    }
  });
}

int64_t line_stride(const Shape& shape, std::size_t axis) { return memory_strides(shape)[axis]; }

void for_each_line(const Shape& shape, std::size_t axis,
                   const std::function<void(int64_t offset)>& visit) {
  Integers extents = shape.to_vector();
  extents[axis] = shape.numel() == 0 ? 0 : 1;
  for_each_row(extents, {memory_strides(shape)},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) visit(offsets[0] + i * steps[0]);
               });
}

}  // namespace convkit::infer
