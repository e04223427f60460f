#include <algorithm>
#include <numeric>

#include "convkit/base/checked.h"
#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

constexpr int64_t kMostPad = int64_t{1} << 60;

Shape with_extent(const Shape& shape, std::size_t axis, int64_t extent) {
  return shape.with(static_cast<int64_t>(axis), extent);
}

// y[..., i, ...] = x[..., source[i], ...] along one axis; where source is −1, y keeps its elements.
void take(const Tensor& x, std::size_t axis, const Integers& source, Tensor& y) {
  Integers box = y.shape().to_vector();
  box[axis] = 1;
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] < 0) continue;
    copy(box, item,
         {advance(to.data, static_cast<int64_t>(i) * to.strides[axis], item), to.strides},
         {advance(from.data, source[i] * from.strides[axis], item), from.strides});
  }
}

// Throws ShapeError for an axis named twice: what a file lists again and again would be done again
// and again.
void need_different(const Integers& axes, int64_t rank) {
  std::vector<bool> seen(static_cast<std::size_t>(rank), false);
  for (const int64_t axis : axes) {
    const std::size_t at = normal_axis(axis, rank);
    CONVKIT_CHECK(!seen[at], ShapeError, "axis ", axis, " is named twice");
    seen[at] = true;
  }
}

// Where position i of an axis of n elements comes from, or −1 for what the constant fills.
int64_t source_of(int64_t i, int64_t n, const std::string& mode) {
  if (i >= 0 && i < n) return i;
  if (mode == "constant") return -1;
  if (mode == "edge") return i < 0 ? 0 : n - 1;
  if (mode == "wrap") return ((i % n) + n) % n;
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1);
  const int64_t folded = ((i % period) + period) % period;
  return folded < n ? folded : period - folded;
}

// Blocks of `size` × `size` pixels against channels: the same elements, seen as (N, C, H, size, W,
// size) or with the blocks split off the channels.
struct Blocks {
  int64_t size;
  int64_t channels;  ///< of the tensor with the larger pictures
  int64_t height;    ///< of the smaller pictures
  int64_t width;
  bool columns_first;  ///< channel = c·size² + block (CRD) rather than block·channels + c (DCR)
};

// Strides of (N, C, H, row, W, column) in the larger pictures and in the deeper ones.
Integers strides_in_space(const Shape& shape, const Blocks& b) {
  const Integers s = memory_strides(shape);
  return {s[0], s[1], s[2] * b.size, s[2], s[3] * b.size, s[3]};
}
Integers strides_in_depth(const Shape& shape, const Blocks& b) {
  const Integers s = memory_strides(shape);
  const int64_t block = b.columns_first ? 1 : b.channels;
  return {s[0], s[1] * (b.columns_first ? b.size * b.size : 1),
          s[2], s[1] * block * b.size,
          s[3], s[1] * block};
}

int64_t block_size(const Call& call) {
  CONVKIT_CHECK(call.input(0).dim() == 4, ShapeError, "the input has the shape ",
                call.input(0).shape(), "; the operator takes (N, C, H, W)");
  const int64_t size = call.integer("blocksize");
  CONVKIT_CHECK(size >= 1 && size <= INT32_MAX, ValueError, "blocksize (", size,
                ") must be at least 1");
  return size;
}

}  // namespace

Tensors run_transpose(const Call& call) {
  const Tensor& x = call.input(0);
  Integers order = call.integers("perm");
  if (order.empty()) {
    order.resize(static_cast<std::size_t>(x.dim()));
    std::iota(order.rbegin(), order.rend(), int64_t{0});
  }
  CONVKIT_CHECK(std::ssize(order) == x.dim(), ShapeError, "perm ", order,
                " does not fit the input ", x.shape());
  std::vector<bool> seen(order.size(), false);
  Integers extents;
  Integers strides;
  const Integers own = memory_strides(x.shape());
  for (const int64_t axis : order) {
    const std::size_t from = normal_axis(axis, x.dim());
    CONVKIT_CHECK(!seen[from], ShapeError, "perm ", order, " names an axis twice");
    seen[from] = true;
    extents.push_back(x.shape().begin()[from]);
    strides.push_back(own[from]);
  }
  Tensor y = make(Shape(extents), x.dtype());
  copy(extents, item_size(x.dtype()), place_of(y), {x.raw_data(), strides});
  return {y};
}

Tensors run_expand(const Call& call) {
  const Tensor& x = call.input(0);
  const Shape target(integers_of(call.input(1), "the shape"));
  const Shape shape = broadcast_shapes(x.shape(), target, "Expand");
  Tensor y = make(shape, x.dtype());
  copy(shape.to_vector(), item_size(x.dtype()), place_of(y),
       {x.raw_data(), stretched_strides(x.shape(), shape)});
  return {y};
}

Tensors run_tile(const Call& call) {
  const Tensor& x = call.input(0);
  const Integers repeats = integers_of(call.input(1), "repeats");
  CONVKIT_CHECK(std::ssize(repeats) == x.dim(), ShapeError, "repeats ", repeats,
                " does not fit the input ", x.shape());
  Integers extents;
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    CONVKIT_CHECK(repeats[i] >= 0, ValueError, "repeats ", repeats, " has negative numbers");
    extents.push_back(checked_mul(repeats[i], x.shape().begin()[i]));
  }
  Tensor y = make(Shape(extents), x.dtype());
  // Each axis as (repeat, element).
  Integers box;
  Integers to;
  Integers from;
  const Integers y_strides = memory_strides(y.shape());
  const Integers x_strides = memory_strides(x.shape());
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    const int64_t extent = x.shape().begin()[i];
    box.insert(box.end(), {repeats[i], extent});
    to.insert(to.end(), {y_strides[i] * extent, y_strides[i]});
    from.insert(from.end(), {0, x_strides[i]});
  }
  if (y.numel() > 0)
    copy(box, item_size(x.dtype()), {y.raw_mutable_data(), to}, {x.raw_data(), from});
  return {y};
}

Tensors run_concat(const Call& call) {
  const Tensor& first = call.input(0);
  const std::size_t axis = normal_axis(call.integer("axis"), first.dim());
  int64_t total = 0;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor& x = call.input(i);
    CONVKIT_CHECK(x.dtype() == first.dtype(), DTypeError, "input 0 is ", first.dtype(), ", input ",
                  i, " ", x.dtype());
    CONVKIT_CHECK(x.dim() == first.dim() &&
                      with_extent(x.shape(), axis, 0) == with_extent(first.shape(), axis, 0),
                  ShapeError, "input 0 has the shape ", first.shape(), ", input ", i, " ",
                  x.shape(), "; they may differ along axis ", call.integer("axis"), " only");
    total = checked_add(total, x.shape().begin()[axis]);
  }
  Tensor y = make(with_extent(first.shape(), axis, total), first.dtype());
  const std::size_t item = item_size(y.dtype());
  const Place to = place_of(y);
  int64_t at = 0;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor& x = call.input(i);
    copy(x.shape().to_vector(), item, {advance(to.data, at * to.strides[axis], item), to.strides},
         place_of(x));
    at += x.shape().begin()[axis];
  }
  return {y};
}

Tensor slice(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step) {
  const Shape shape = with_extent(x.shape(), axis, count);
  Tensor y = make(shape, x.dtype());
  if (y.numel() == 0) return y;
  ConstPlace from = place_of(x);
  from.data = advance(from.data, start * from.strides[axis], item_size(x.dtype()));
  from.strides[axis] *= step;
  copy(shape.to_vector(), item_size(x.dtype()), place_of(y), from);
  return y;
}

Tensors run_split(const Call& call) {
  const Tensor& x = call.input(0);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  const int64_t extent = x.shape().begin()[axis];
  const auto parts = static_cast<int64_t>(call.node.outputs.size());
  Integers sizes;
  if (call.has(1)) {
    sizes = integers_of(call.input(1), "split");
  } else {
    // The last part may be smaller.
    const int64_t each = ceil_div(extent, parts);
    for (int64_t i = 0; i < parts; ++i)
      sizes.push_back(std::clamp(extent - i * each, int64_t{0}, each));
  }
  int64_t total = 0;
  for (const int64_t size : sizes) {
    CONVKIT_CHECK(size >= 0, ValueError, "split ", sizes, " has negative numbers");
    total = checked_add(total, size);
  }
  CONVKIT_CHECK(total == extent && std::ssize(sizes) >= parts, ShapeError, "split ", sizes, " for ",
                parts, " outputs does not make up the ", extent, " elements along axis ",
                call.integer("axis"));
  Tensors outputs;
  int64_t at = 0;
  for (std::size_t i = 0; i < call.node.outputs.size(); ++i) {
    outputs.push_back(slice(x, axis, at, sizes[i], 1));
    at += sizes[i];
  }
  return outputs;
}

Tensors run_slice(const Call& call) {
  Tensor y = call.input(0);
  const Integers starts = integers_of(call.input(1), "starts");
  const Integers ends = integers_of(call.input(2), "ends");
  Integers axes(starts.size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  if (call.has(3)) axes = integers_of(call.input(3), "axes");
  const Integers steps =
      call.has(4) ? integers_of(call.input(4), "steps") : Integers(starts.size(), 1);
  CONVKIT_CHECK(
      ends.size() == starts.size() && axes.size() == starts.size() && steps.size() == starts.size(),
      ShapeError, "starts ", starts, ", ends ", ends, ", axes ", axes, " and steps ", steps,
      " differ in length");
  need_different(axes, y.dim());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t axis = normal_axis(axes[i], y.dim());
    const int64_t extent = y.shape().begin()[axis];
    CONVKIT_CHECK(steps[i] != 0, ValueError, "the step along axis ", axes[i], " is 0");
    // A step over everything is as good as any longer one, and no product with it overflows.
    const int64_t longest = std::max<int64_t>(extent, 1);
    const int64_t step = std::clamp(steps[i], -longest, longest);
    const int64_t lowest = step > 0 ? 0 : -1;
    const int64_t highest = step > 0 ? extent : extent - 1;
    const auto clipped = [&](int64_t position) {
      return std::clamp(position < 0 ? position + extent : position, lowest, highest);
    };
    const int64_t start = clipped(starts[i]);
    const int64_t end = clipped(ends[i]);
    const int64_t distance = step > 0 ? end - start : start - end;
    const int64_t count = distance > 0 ? (distance - 1) / std::abs(step) + 1 : 0;
    y = slice(y, axis, start, count, step);
  }
  return {y};
}

Tensors run_pad(const Call& call) {
  Tensor y = call.input(0);
  const std::string& mode = call.text("mode");
  CONVKIT_CHECK(mode == "constant" || mode == "edge" || mode == "reflect" || mode == "wrap",
                ValueError, "mode is '", mode, "'; it can be constant, edge, reflect or wrap");
  const Integers pads = integers_of(call.input(1), "pads");
  Integers axes(static_cast<std::size_t>(y.dim()));
  std::iota(axes.begin(), axes.end(), int64_t{0});
  if (call.has(3)) axes = integers_of(call.input(3), "axes");
  CONVKIT_CHECK(pads.size() == 2 * axes.size(), ShapeError, "pads ", pads, " has ", pads.size(),
                " numbers, but ", axes.size(), " axes need ", 2 * axes.size());
  need_different(axes, y.dim());
  Tensor value;
  if (call.has(2) && call.input(2).numel() > 0) value = cast(call.input(2), y.dtype());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = normal_axis(axes[i], y.dim());
    const int64_t extent = y.shape().begin()[axis];
    const int64_t before = pads[i];
    const int64_t after = pads[i + axes.size()];
    if (before == 0 && after == 0) continue;
    CONVKIT_CHECK(before >= -kMostPad && before <= kMostPad, ValueError, "pads ", pads,
                  " has numbers that are too large");
    const int64_t longer = checked_add(checked_add(extent, before), after);
    CONVKIT_CHECK(longer >= 0, ShapeError, "pads ", pads, " take away more than axis ", axes[i],
                  " of ", y.shape(), " has");
    CONVKIT_CHECK(extent > 0 || mode == "constant" || longer == 0, ShapeError, "axis ", axes[i],
                  " of ", y.shape(), " has nothing to continue");
    Tensor padded = make(with_extent(y.shape(), axis, longer), y.dtype());
    if (padded.numel() > 0 && mode == "constant") {
      padded.fill(0);
      if (value.defined())
        copy(padded.shape().to_vector(), item_size(y.dtype()), place_of(padded),
             {value.raw_data(), Integers(static_cast<std::size_t>(y.dim()), 0)});
    }
    Integers source;
    if (padded.numel() > 0)
      for (int64_t at = 0; at < longer; ++at)
        source.push_back(source_of(at - before, extent, mode));
    take(y, axis, source, padded);
    y = padded;
  }
  return {y};
}

Tensors run_depth_to_space(const Call& call) {
  const Tensor& x = call.input(0);
  const int64_t size = block_size(call);
  const std::string& mode = call.text("mode");
  CONVKIT_CHECK(mode == "DCR" || mode == "CRD", ValueError, "mode is '", mode,
                "'; it can be DCR or CRD");
  CONVKIT_CHECK(x.size(1) % (size * size) == 0, ShapeError, "the ", x.size(1),
                " channels do not fill blocks of ", size, "×", size);
  const Blocks b{.size = size,
                 .channels = x.size(1) / (size * size),
                 .height = x.size(2),
                 .width = x.size(3),
                 .columns_first = mode == "CRD"};
  Tensor y = make({x.size(0), b.channels, checked_mul(b.height, size), checked_mul(b.width, size)},
                  x.dtype());
  copy({x.size(0), b.channels, b.height, size, b.width, size}, item_size(x.dtype()),
       {y.raw_mutable_data(), strides_in_space(y.shape(), b)},
       {x.raw_data(), strides_in_depth(x.shape(), b)});
  return {y};
}

Tensors run_space_to_depth(const Call& call) {
  const Tensor& x = call.input(0);
  const int64_t size = block_size(call);
  CONVKIT_CHECK(x.size(2) % size == 0 && x.size(3) % size == 0, ShapeError, "pictures of ",
                x.size(2), "×", x.size(3), " are not made of blocks of ", size, "×", size);
  const Blocks b{.size = size,
                 .channels = x.size(1),
                 .height = x.size(2) / size,
                 .width = x.size(3) / size,
                 .columns_first = false};
  Tensor y = make({x.size(0), checked_mul(b.channels, checked_mul(size, size)), b.height, b.width},
                  x.dtype());
  copy({x.size(0), b.channels, b.height, size, b.width, size}, item_size(x.dtype()),
       {y.raw_mutable_data(), strides_in_depth(y.shape(), b)},
       {x.raw_data(), strides_in_space(x.shape(), b)});
  return {y};
}

Tensors run_reverse_sequence(const Call& call) {
  const Tensor& x = call.input(0);
  const std::size_t batch = normal_axis(call.integer("batch_axis"), x.dim());
  const std::size_t time = normal_axis(call.integer("time_axis"), x.dim());
  const Integers lengths = integers_of(call.input(1), "sequence_lens");
  CONVKIT_CHECK(batch != time, ValueError, "batch_axis and time_axis are the same");
  CONVKIT_CHECK(std::ssize(lengths) == x.shape().begin()[batch], ShapeError, "there are ",
                lengths.size(), " lengths for ", x.shape().begin()[batch], " sequences");
  Tensor y = x.clone();
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  Integers reversed = from.strides;
  reversed[time] = -reversed[time];
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const int64_t length = lengths[i];
    CONVKIT_CHECK(length >= 0 && length <= x.shape().begin()[time], ValueError, "the length ",
                  length, " is not between 0 and ", x.shape().begin()[time]);
    if (length == 0) continue;
    Integers box = x.shape().to_vector();
    box[batch] = 1;
    box[time] = length;
    const int64_t at = static_cast<int64_t>(i) * from.strides[batch];
    copy(box, item, {advance(to.data, at, item), to.strides},
         {advance(from.data, at + (length - 1) * from.strides[time], item), reversed});
  }
  return {y};
}

Tensors run_trilu(const Call& call) {
  const Tensor& x = call.input(0);
  need_rank(call, 0, 2);
  const bool upper = call.flag("upper");
  const int64_t k = call.has(1) ? integer_of(call.input(1), "k") : 0;
  Tensor y = make(x.shape(), x.dtype());
  y.fill(0);
  const int64_t columns = x.size(-1);
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  const auto row_axis = static_cast<std::size_t>(x.dim() - 2);
  const std::size_t column_axis = row_axis + 1;
  // What is kept of each row stands together.
  for (int64_t row = 0; row < x.size(-2); ++row) {
    const int64_t diagonal = std::clamp(k, -row, columns) + row;
    const int64_t begin = upper ? std::clamp(diagonal, int64_t{0}, columns) : 0;
    const int64_t end = upper ? columns : std::clamp(diagonal + 1, int64_t{0}, columns);
    if (begin >= end || (!upper && k < -row)) continue;
    Integers box = x.shape().to_vector();
    box[row_axis] = 1;
    box[column_axis] = end - begin;
    const auto at = [&](const Integers& strides) {
      return row * strides[row_axis] + begin * strides[column_axis];
    };
    copy(box, item, {advance(to.data, at(to.strides), item), to.strides},
         {advance(from.data, at(from.strides), item), from.strides});
  }
  return {y};
}

}  // namespace convkit::infer
