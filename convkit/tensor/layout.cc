#include "convkit/tensor/layout.h"

#include <cstring>

#include "convkit/base/thread_pool.h"

namespace convkit {
namespace {

// target[b][c][r] = source[b][r][c], in blocks that fit the first-level cache.
template <class T>
void transpose_as(int64_t batch, int64_t rows, int64_t columns, const T* source, T* target) {
  constexpr int64_t kBlock = 32;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  const int64_t blocks_per_task =
      std::max<int64_t>(1, 65536 / (kBlock * std::max<int64_t>(columns, 1)));
  parallel_ranges(batch * blocks, blocks_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t offset = block / blocks * rows * columns;
      const int64_t row_begin = block % blocks * kBlock;
      const int64_t row_end = std::min(rows, row_begin + kBlock);
      for (int64_t column_begin = 0; column_begin < columns; column_begin += kBlock) {
        const int64_t column_end = std::min(columns, column_begin + kBlock);
        for (int64_t c = column_begin; c < column_end; ++c)
          for (int64_t r = row_begin; r < row_end; ++r)
            target[offset + c * rows + r] = source[offset + r * columns + c];
      }
    }
  });
}

void transpose(int64_t batch, int64_t rows, int64_t columns, std::size_t item, const void* source,
               void* target) {
  const auto run = [&]<class T>(T) {
    transpose_as(batch, rows, columns, static_cast<const T*>(source), static_cast<T*>(target));
  };
  switch (item) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    default:
      return run(uint64_t{});
  }
}

}  // namespace

LayoutView layout_view(const Shape& shape) {
  if (shape.dim() < 3) return {shape.numel(), 1, 1};
  int64_t spatial = 1;
  for (int64_t axis = 2; axis < shape.dim(); ++axis) spatial *= shape[axis];
  return {shape[0], shape[1], spatial};
}

bool is_row_major(const Shape& shape) {
  const LayoutView view = layout_view(shape);
  return view.channels <= 1 || view.spatial <= 1 || view.batch == 0;
}

bool reshapes_in_place(const Shape& from, const Shape& to) {
  return (is_row_major(from) && is_row_major(to)) || layout_view(from) == layout_view(to);
}

std::vector<int64_t> memory_strides(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<std::size_t>(shape.dim()), 1);
  if (shape.dim() < 2) return strides;
  if (shape.dim() == 2) {
    strides[0] = shape[1];
    return strides;
  }
  int64_t stride = shape[1];
  for (int64_t axis = shape.dim() - 1; axis >= 2; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  strides[0] = stride;
  return strides;
}

void row_major_to_memory(const Shape& shape, std::size_t item, const void* source, void* target) {
  if (shape.numel() == 0) return;
  if (is_row_major(shape)) {
    std::memcpy(target, source, static_cast<std::size_t>(shape.numel()) * item);
    return;
  }
  const LayoutView view = layout_view(shape);
  transpose(view.batch, view.channels, view.spatial, item, source, target);
}

void memory_to_row_major(const Shape& shape, std::size_t item, const void* source, void* target) {
  if (shape.numel() == 0) return;
  if (is_row_major(shape)) {
    std::memcpy(target, source, static_cast<std::size_t>(shape.numel()) * item);
    return;
  }
  const LayoutView view = layout_view(shape);
  transpose(view.batch, view.spatial, view.channels, item, source, target);
}

void permute_memory(const Shape& source_shape, std::span<const int64_t> permutation,
                    std::size_t item, const void* source, void* target) {
  const auto rank = static_cast<std::size_t>(source_shape.dim());
  std::vector<int64_t> extents(rank);
  for (std::size_t i = 0; i < rank; ++i) extents[i] = source_shape[permutation[i]];
  const Shape target_shape(extents);
  if (target_shape.numel() == 0) return;
  const std::vector<int64_t> from = memory_strides(source_shape);
  const std::vector<int64_t> to = memory_strides(target_shape);
  // Walks the target's logical axes, the outermost split off as tasks.
  const int64_t outer = rank == 0 ? 1 : extents[0];
  parallel_for(outer, [&](int64_t first) {
    std::vector<int64_t> index(rank, 0);
    if (rank > 0) index[0] = first;
    for (;;) {
      int64_t read = 0;
      int64_t write = 0;
      for (std::size_t i = 0; i < rank; ++i) {
        read += index[i] * from[static_cast<std::size_t>(permutation[i])];
        write += index[i] * to[i];
      }
      std::memcpy(static_cast<std::byte*>(target) + static_cast<std::size_t>(write) * item,
                  static_cast<const std::byte*>(source) + static_cast<std::size_t>(read) * item,
                  item);
      std::size_t axis = rank;
      while (axis > 1 && ++index[axis - 1] == extents[axis - 1]) index[--axis] = 0;
      if (axis <= 1) return;
    }
  });
}

}  // namespace convkit
