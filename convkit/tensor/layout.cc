#include "convkit/tensor/layout.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

namespace convkit {
namespace {

// Where neighbours along an axis are: elements apart in the target and in the source.
struct Axis {
  int64_t extent;
  int64_t to;
  int64_t from;
};

// Axes in the order of the target's memory, of which those that stand in the same order in the
// source are one.
std::vector<Axis> merged(std::vector<Axis> axes) {
  std::erase_if(axes, [](const Axis& axis) { return axis.extent == 1; });
  std::sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.to > b.to; });
  std::vector<Axis> result;
  for (const Axis& axis : axes) {
    if (!result.empty() && result.back().from == axis.extent * axis.from)
      result.back() = {result.back().extent * axis.extent, axis.to, axis.from};
    else
      result.push_back(axis);
  }
  return result;
}

// The place of a number of all axes but those of a tile: counted on, not divided anew.
class Odometer {
 public:
  Odometer(std::span<const Axis> axes, int64_t number) : axes_(axes), digits_(axes.size()) {
    for (std::size_t i = axes.size(); i-- > 0; number /= axes[i].extent)
      move(i, number % axes[i].extent);
  }
  int64_t from() const { return from_; }
  int64_t to() const { return to_; }
  void next() {
    for (std::size_t i = axes_.size(); i-- > 0; move(i, -digits_[i])) {
      if (digits_[i] + 1 < axes_[i].extent) return move(i, 1);
    }
  }

 private:
  void move(std::size_t i, int64_t by) {
    digits_[i] += by;
    from_ += by * axes_[i].from;
    to_ += by * axes_[i].to;
  }

  std::span<const Axis> axes_;
  std::vector<int64_t> digits_;
  int64_t from_ = 0;
  int64_t to_ = 0;
};

// Copies by tiles of two axes, one with neighbours in the target and one with neighbours in the
// source, that fit the first-level cache. Axes are in bytes. kItem: bytes of an element; 0: `item`.
template <std::size_t kItem>
void copy_as(std::vector<Axis> axes, std::size_t item, const std::byte* source, std::byte* target) {
  if (kItem > 0) item = kItem;
  const auto near = static_cast<int64_t>(item);
  constexpr int64_t kBlock = 32;
  constexpr int64_t kPerTask = 1 << 15;
  Axis columns = {1, near, near};
  Axis rows = columns;
  if (!axes.empty()) {
    columns = axes.back();
    axes.pop_back();
  }
  if (columns.from != near && !axes.empty()) {
    const auto nearest = std::min_element(
        axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.from < b.from; });
    rows = *nearest;
    axes.erase(nearest);
  }
  // Few columns make for many rows.
  const int64_t height = kBlock * kBlock / std::min(columns.extent, kBlock);
  axes.push_back({(rows.extent + height - 1) / height, height * rows.to, height * rows.from});
  int64_t tiles = 1;
  for (const Axis& axis : axes) tiles *= axis.extent;
  const int64_t per_tile = std::min(rows.extent, height) * columns.extent;
  const auto copy_tile = [&](const std::byte* from, std::byte* to, int64_t count) {
    if (columns.from == near) {
      std::memcpy(to, from, static_cast<std::size_t>(columns.extent) * item);
      return;
    }
    for (int64_t block = 0; block < columns.extent; block += kBlock) {
      const int64_t last = std::min(columns.extent, block + kBlock);
      const auto copy_one = [&](int64_t row, int64_t column) {
        std::memcpy(to + row * rows.to + column * near,
                    from + row * rows.from + column * columns.from, item);
      };
      // The longer loop inside.
      if (last - block < count)
        for (int64_t column = block; column < last; ++column)
          for (int64_t row = 0; row < count; ++row) copy_one(row, column);
      else
        for (int64_t row = 0; row < count; ++row)
          for (int64_t column = block; column < last; ++column) copy_one(row, column);
    }
  };
  parallel_ranges(tiles, std::max<int64_t>(1, kPerTask / per_tile),
                  [&](int64_t begin, int64_t end) {
                    Odometer place(axes, begin);
                    for (int64_t tile = begin; tile < end; ++tile, place.next()) {
                      const int64_t first = tile % axes.back().extent * height;
                      copy_tile(source + place.from(), target + place.to(),
                                std::min(height, rows.extent - first));
                    }
                  });
}

// target[Σ index · to] = source[Σ index · from]; `to` must fill the target densely.
void copy(std::vector<Axis> axes, std::size_t item, const void* source, void* target) {
  axes = merged(std::move(axes));
  for (Axis& axis : axes) {
    axis.to *= static_cast<int64_t>(item);
    axis.from *= static_cast<int64_t>(item);
  }
  const auto copy_items = item == sizeof(float) ? copy_as<sizeof(float)> : copy_as<0>;
  copy_items(std::move(axes), item, static_cast<const std::byte*>(source),
             static_cast<std::byte*>(target));
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
  const auto [batch, channels, spatial] = layout_view(shape);
  const int64_t picture = channels * spatial;
  copy({{batch, picture, picture}, {spatial, channels, 1}, {channels, 1, spatial}}, item, source,
       target);
}

void memory_to_row_major(const Shape& shape, std::size_t item, const void* source, void* target) {
  if (shape.numel() == 0) return;
  const auto [batch, channels, spatial] = layout_view(shape);
  const int64_t picture = channels * spatial;
  copy({{batch, picture, picture}, {channels, spatial, 1}, {spatial, 1, channels}}, item, source,
       target);
}

namespace {

// The axes of both shapes, cut so that they are the same; nothing where no cut does that.
std::optional<std::vector<Axis>> common_axes(const Shape& from, const Shape& to) {
  // What is left of the last axes that are not taken yet.
  struct Last {
    const Shape& shape;
    std::vector<int64_t> strides = memory_strides(shape);
    int64_t axis = shape.dim();
    int64_t extent = 1;
    int64_t stride = 0;

    void next() {
      while (extent == 1 && axis > 0) {
        --axis;
        extent = shape[axis];
        stride = strides[static_cast<std::size_t>(axis)];
      }
    }
    void take(int64_t count) {
      extent /= count;
      stride *= count;
    }
  };
  Last source{.shape = from};
  Last target{.shape = to};
  std::vector<Axis> axes;
  for (;;) {
    source.next();
    target.next();
    if (source.extent == 1 || target.extent == 1) return axes;
    const int64_t count = std::min(source.extent, target.extent);
    if (source.extent % count != 0 || target.extent % count != 0) return std::nullopt;
    axes.push_back({count, target.stride, source.stride});
    source.take(count);
    target.take(count);
  }
}

}  // namespace

void reshape_memory(const Shape& from, const Shape& to, std::size_t item, const void* source,
                    void* target) {
  if (to.numel() == 0) return;
  if (std::optional<std::vector<Axis>> axes = common_axes(from, to))
    return copy(std::move(*axes), item, source, target);
  Buffer<std::byte> row_major(static_cast<std::size_t>(from.numel()) * item);
  memory_to_row_major(from, item, source, row_major.data());
  row_major_to_memory(to, item, row_major.data(), target);
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
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < rank; ++i)
    axes.push_back({extents[i], to[i], from[static_cast<std::size_t>(permutation[i])]});
  copy(std::move(axes), item, source, target);
}

}  // namespace convkit
