#include <algorithm>
#include <cstring>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

// An index that may count from the end, as 0 … extent − 1.
int64_t checked_index(int64_t index, int64_t extent) {
  CONVKIT_CHECK(index >= -extent && index < extent, ValueError, "index ", index,
                " is outside of an axis of ", extent, " elements");
  return index < 0 ? index + extent : index;
}

Integers int64_elements(const Tensor& indices) {
  CONVKIT_CHECK(!is_floating(indices.dtype()), DTypeError, "the indices are ", indices.dtype(),
                ", but should be integers");
  return indices.to(DType::int64).to_vector<int64_t>();
}

// The shape without its last `count` axes, or those from `first` on.
Integers extents_between(const Shape& shape, int64_t first, int64_t end) {
  return Integers(shape.begin() + first, shape.begin() + end);
}

// How scattered elements meet those that are there.
enum class Meeting { replace, add, mul, min, max };

Meeting meeting_of(const Call& call) {
  const std::string& name = call.text("reduction");
  if (name == "none") return Meeting::replace;
  if (name == "add") return Meeting::add;
  if (name == "mul") return Meeting::mul;
  if (name == "min") return Meeting::min;
  CONVKIT_CHECK(name == "max", ValueError, "reduction is '", name,
                "'; it can be none, add, mul, min or max");
  return Meeting::max;
}

template <class Number>
Number met(Meeting meeting, Number old, Number update, bool is_natural) {
  const auto less = [&](Number a, Number b) {
    if constexpr (std::is_same_v<Number, int64_t>)
      return is_natural ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
    return a < b;
  };
  switch (meeting) {
    case Meeting::min:
      return less(update, old) ? update : old;
    case Meeting::max:
      return less(old, update) ? update : old;
    case Meeting::replace:
      return update;
    default:
      break;
  }
  if constexpr (std::is_same_v<Number, int64_t>) {
    const auto a = static_cast<uint64_t>(old);
    const auto b = static_cast<uint64_t>(update);
    return static_cast<int64_t>(meeting == Meeting::add ? a + b : a * b);
  } else {
    return meeting == Meeting::add ? old + update : old * update;
  }
}

// y[to] meets updates[from], one element.
void meet(Meeting meeting, Tensor& y, int64_t to, const Tensor& updates, int64_t from) {
  const DType type = y.dtype();
  const auto run = [&]<class Number>(Number) {
    Number old{};
    Number update{};
    load(type, y.raw_data(), to, 1, 1, &old);
    load(type, updates.raw_data(), from, 1, 1, &update);
    const Number result = met(meeting, old, update, type == DType::uint64);
    store(type, y.raw_mutable_data(), to, 1, 1, &result);
  };
  const std::size_t item = item_size(type);
  if (meeting == Meeting::replace) {
    std::memcpy(advance(y.raw_mutable_data(), to, item), advance(updates.raw_data(), from, item),
                item);
  } else if (uses_reals(type)) {
    run(double{});
  } else {
    run(int64_t{});
  }
}

void need_one_type(const Tensor& x, const Tensor& updates) {
  CONVKIT_CHECK(x.dtype() == updates.dtype(), DTypeError, "the input is ", x.dtype(),
                ", the updates ", updates.dtype(), "; they must have one type");
}

// Visits every logical index of `shape`, in row-major order.
template <class F>
void for_each_index(const Shape& shape, F f) {
  if (shape.numel() == 0) return;
  Integers index(static_cast<std::size_t>(shape.dim()), 0);
  for (;;) {
    f(index);
    std::size_t axis = index.size();
    while (axis > 0 && ++index[axis - 1] == shape.begin()[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

int64_t offset_of(const Integers& index, const Integers& strides) {
  int64_t offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
  return offset;
}

}  // namespace

Tensors run_gather(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  const int64_t extent = x.shape().begin()[axis];
  Integers extents = extents_between(x.shape(), 0, static_cast<int64_t>(axis));
  const Integers tail = extents_between(x.shape(), static_cast<int64_t>(axis) + 1, x.dim());
  const Integers rows = int64_elements(indices);
  // First with one axis for all indices, then with theirs.
  Integers flat = extents;
  flat.push_back(std::ssize(rows));
  flat.insert(flat.end(), tail.begin(), tail.end());
  extents.insert(extents.end(), indices.shape().begin(), indices.shape().end());
  extents.insert(extents.end(), tail.begin(), tail.end());
  const Shape shape(extents);
  Tensor y = make(Shape(flat), x.dtype());
  Integers box = flat;
  box[axis] = 1;
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const int64_t source = checked_index(rows[i], extent);
    copy(box, item,
         {advance(to.data, static_cast<int64_t>(i) * to.strides[axis], item), to.strides},
         {advance(from.data, source * from.strides[axis], item), from.strides});
  }
  return {y.reshaped(shape)};
}

Tensors run_gather_elements(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  CONVKIT_CHECK(indices.dim() == x.dim(), ShapeError, "the indices ", indices.shape(),
                " do not have the rank of the input ", x.shape());
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.dim()); ++i)
    CONVKIT_CHECK(i == axis || indices.shape().begin()[i] <= x.shape().begin()[i], ShapeError,
                  "the indices ", indices.shape(), " are larger than the input ", x.shape());
  const Integers rows = int64_elements(indices);
  Tensor y = make(indices.shape(), x.dtype());
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(x.shape());
  const std::size_t item = item_size(x.dtype());
  std::size_t next = 0;
  for_each_index(y.shape(), [&](Integers& index) {
    const int64_t write = offset_of(index, to);
    const int64_t own = index[axis];
    index[axis] = checked_index(rows[next++], x.shape().begin()[axis]);
    std::memcpy(advance(y.raw_mutable_data(), write, item),
                advance(x.raw_data(), offset_of(index, from), item), item);
    index[axis] = own;
  });
  return {y};
}

Tensors run_scatter_elements(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const Tensor& updates = call.input(2);
  const std::size_t axis = normal_axis(call.integer("axis"), x.dim());
  const Meeting meeting = meeting_of(call);
  need_one_type(x, updates);
  CONVKIT_CHECK(indices.shape() == updates.shape() && indices.dim() == x.dim(), ShapeError,
                "the input ", x.shape(), ", the indices ", indices.shape(), " and the updates ",
                updates.shape(), " do not fit together");
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.dim()); ++i)
    CONVKIT_CHECK(i == axis || indices.shape().begin()[i] <= x.shape().begin()[i], ShapeError,
                  "the indices ", indices.shape(), " are larger than the input ", x.shape());
  const Integers rows = int64_elements(indices);
  Tensor y = x.clone();
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(updates.shape());
  std::size_t next = 0;
  for_each_index(updates.shape(), [&](Integers& index) {
    const int64_t read = offset_of(index, from);
    const int64_t own = index[axis];
    index[axis] = checked_index(rows[next++], x.shape().begin()[axis]);
    meet(meeting, y, offset_of(index, to), updates, read);
    index[axis] = own;
  });
  return {y};
}

Tensors run_gather_nd(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const int64_t batch = call.integer("batch_dims");
  CONVKIT_CHECK(batch >= 0 && batch < x.dim() && batch < indices.dim(), ValueError, "batch_dims (",
                batch, ") does not fit the input ", x.shape(), " and the indices ",
                indices.shape());
  for (int64_t i = 0; i < batch; ++i)
    CONVKIT_CHECK(x.size(i) == indices.size(i), ShapeError, "the input ", x.shape(),
                  " and the indices ", indices.shape(), " differ in their batch");
  const int64_t depth = indices.size(-1);
  CONVKIT_CHECK(depth >= 1 && depth <= x.dim() - batch, ShapeError, "indices of ", depth,
                " numbers do not fit the input ", x.shape());
  Integers extents = extents_between(indices.shape(), 0, indices.dim() - 1);
  const Integers tail = extents_between(x.shape(), batch + depth, x.dim());
  const Shape outer(extents);
  extents.insert(extents.end(), tail.begin(), tail.end());
  Tensor y = make(Shape(extents), x.dtype());
  const Integers numbers = int64_elements(indices);
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(x.shape());
  const std::size_t item = item_size(x.dtype());
  const Integers to_tail(to.end() - std::ssize(tail), to.end());
  const Integers from_tail(from.end() - std::ssize(tail), from.end());
  std::size_t next = 0;
  for_each_index(outer, [&](const Integers& index) {
    int64_t read = 0;
    for (int64_t i = 0; i < batch; ++i)
      read += index[static_cast<std::size_t>(i)] * from[static_cast<std::size_t>(i)];
    for (int64_t i = batch; i < batch + depth; ++i)
      read += checked_index(numbers[next++], x.size(i)) * from[static_cast<std::size_t>(i)];
    copy(tail, item, {advance(y.raw_mutable_data(), offset_of(index, to), item), to_tail},
         {advance(x.raw_data(), read, item), from_tail});
  });
  return {y};
}

Tensors run_scatter_nd(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const Tensor& updates = call.input(2);
  const Meeting meeting = meeting_of(call);
  need_one_type(x, updates);
  CONVKIT_CHECK(indices.dim() >= 1, ShapeError, "the indices are a scalar");
  const int64_t depth = indices.size(-1);
  CONVKIT_CHECK(depth >= 1 && depth <= x.dim(), ShapeError, "indices of ", depth,
                " numbers do not fit the input ", x.shape());
  Integers extents = extents_between(indices.shape(), 0, indices.dim() - 1);
  const Shape outer(extents);
  const Integers tail = extents_between(x.shape(), depth, x.dim());
  extents.insert(extents.end(), tail.begin(), tail.end());
  CONVKIT_CHECK(updates.shape() == Shape(extents), ShapeError, "the updates have the shape ",
                updates.shape(), ", but should have ", Shape(extents));
  const Integers numbers = int64_elements(indices);
  Tensor y = x.clone();
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(updates.shape());
  const Integers to_tail(to.end() - std::ssize(tail), to.end());
  const Integers from_tail(from.end() - std::ssize(tail), from.end());
  std::size_t next = 0;
  for_each_index(outer, [&](const Integers& index) {
    int64_t write = 0;
    for (int64_t i = 0; i < depth; ++i)
      write += checked_index(numbers[next++], x.size(i)) * to[static_cast<std::size_t>(i)];
    const int64_t read = offset_of(index, from);
    for_each_row(tail, {to_tail, from_tail},
                 [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                   for (int64_t i = 0; i < count; ++i)
                     meet(meeting, y, write + offsets[0] + i * steps[0], updates,
                          read + offsets[1] + i * steps[1]);
                 });
  });
  return {y};
}

Tensors run_one_hot(const Call& call) {
  const Tensor& indices = call.input(0);
  const Tensor& values = call.input(2);
  const Integers depths = int64_elements(cast(call.input(1), DType::int64));
  CONVKIT_CHECK(depths.size() == 1 && depths[0] >= 0, ValueError,
                "the depth must be one number that is not negative");
  CONVKIT_CHECK(values.shape() == Shape({2}), ShapeError, "the values have the shape ",
                values.shape(), ", but should be (off, on)");
  const int64_t depth = depths[0];
  const std::size_t axis = normal_axis(call.integer("axis"), indices.dim() + 1);
  Integers extents = indices.shape().to_vector();
  extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  Tensor y = make(Shape(extents), values.dtype());
  const std::size_t item = item_size(values.dtype());
  const Place to = place_of(y);
  copy(extents, item, to, {values.raw_data(), Integers(extents.size(), 0)});
  const Integers classes = cast(indices, DType::int64).to_vector<int64_t>();
  Integers strides = to.strides;
  strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(axis));
  std::size_t next = 0;
  for_each_index(indices.shape(), [&](const Integers& index) {
    const int64_t chosen = classes[next++];
    // What is outside is nowhere on.
    if (chosen < -depth || chosen >= depth) return;
    const int64_t place = chosen < 0 ? chosen + depth : chosen;
    std::memcpy(advance(to.data, offset_of(index, strides) + place * to.strides[axis], item),
                advance(values.raw_data(), 1, item), item);
  });
  return {y};
}

Tensors run_non_zero(const Call& call) {
  const Tensor flags = call.input(0).to(DType::boolean);
  const bool* flag = flags.data<bool>();
  const Integers strides = memory_strides(flags.shape());
  const auto rank = static_cast<std::size_t>(flags.dim());
  std::vector<Integers> found(rank);
  int64_t count = 0;
  for_each_index(flags.shape(), [&](const Integers& index) {
    if (!flag[offset_of(index, strides)]) return;
    ++count;
    for (std::size_t i = 0; i < rank; ++i) found[i].push_back(index[i]);
  });
  Integers all;
  for (const Integers& list : found) all.insert(all.end(), list.begin(), list.end());
  return {from_values(all, {flags.dim(), count})};
}

Tensors run_compress(const Call& call) {
  const Tensor& given = call.input(0);
  const bool is_flat = !call.node.attributes.has("axis");
  const Tensor x = is_flat ? given.reshaped({given.numel()}) : given;
  const std::size_t axis = is_flat ? 0 : normal_axis(call.integer("axis"), x.dim());
  const Integers condition = integers_of(call.input(1), "the condition");
  CONVKIT_CHECK(std::ssize(condition) <= x.shape().begin()[axis], ShapeError,
                "the condition is longer than the axis");
  Integers rows;
  for (std::size_t i = 0; i < condition.size(); ++i)
    if (condition[i] != 0) rows.push_back(static_cast<int64_t>(i));
  Tensor y = make(x.shape().with(static_cast<int64_t>(axis), std::ssize(rows)), x.dtype());
  Integers box = y.shape().to_vector();
  box[axis] = 1;
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  for (std::size_t i = 0; i < rows.size(); ++i)
    copy(box, item,
         {advance(to.data, static_cast<int64_t>(i) * to.strides[axis], item), to.strides},
         {advance(from.data, rows[i] * from.strides[axis], item), from.strides});
  return {y};
}

}  // namespace convkit::infer
