#include <algorithm>
#include <cstring>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/interpreter.h"
#include "convkit/infer/steps/step.h"
#include "convkit/tensor/layout.h"

namespace convkit::infer {
namespace {

constexpr int64_t kFloatsPerTask = 1 << 15;

Algorithm movement() { return {"copy", "", 0}; }

// y = for each row, the inputs' blocks one after the other.
class ConcatStep final : public Step {
 public:
  ConcatStep(int64_t rows, Integers blocks) : rows_(rows), blocks_(std::move(blocks)) {
    for (const int64_t block : blocks_) row_ += block;
  }
  void run(std::span<const float* const> inputs, float* output) const override {
    parallel_ranges(rows_, std::max<int64_t>(1, kFloatsPerTask / row_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        float* to = output + row * row_;
                        for (std::size_t i = 0; i < blocks_.size(); ++i) {
                          std::copy_n(inputs[i] + row * blocks_[i], blocks_[i], to);
                          to += blocks_[i];
                        }
                      }
                    });
  }
  Algorithm algorithm() const override { return movement(); }

 private:
  int64_t rows_;
  Integers blocks_;
  int64_t row_ = 0;
};

// The same elements in logical order under another shape, whose order in memory differs.
class ReshapeStep final : public Step {
 public:
  ReshapeStep(const Shape& from, const Shape& to) : from_(from), to_(to) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    constexpr std::size_t kItem = sizeof(float);
    if (is_row_major(to_)) return memory_to_row_major(from_, kItem, inputs[0], output);
    if (is_row_major(from_)) return row_major_to_memory(to_, kItem, inputs[0], output);
    Buffer<float> rows(static_cast<std::size_t>(from_.numel()));
    memory_to_row_major(from_, kItem, inputs[0], rows.data());
    row_major_to_memory(to_, kItem, rows.data(), output);
  }
  Algorithm algorithm() const override { return movement(); }

 private:
  Shape from_;
  Shape to_;
};

// y[row, block] = x[table[row], block]: pictures share the table, pixels keep their channels.
class GatherStep final : public Step {
 public:
  GatherStep(int64_t batch, int64_t in_rows, int64_t block, std::vector<int32_t> table)
      : batch_(batch), in_rows_(in_rows), block_(block), table_(std::move(table)) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    const auto out_rows = static_cast<int64_t>(table_.size());
    parallel_ranges(batch_ * out_rows, std::max<int64_t>(1, kFloatsPerTask / block_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        const int64_t from = table_[static_cast<std::size_t>(row % out_rows)];
                        const float* x = inputs[0] + (row / out_rows * in_rows_ + from) * block_;
                        std::copy_n(x, block_, output + row * block_);
                      }
                    });
  }
  Algorithm algorithm() const override { return movement(); }
  int64_t weight_bytes() const override {
    return static_cast<int64_t>(table_.size() * sizeof(int32_t));
  }

 private:
  int64_t batch_;
  int64_t in_rows_;
  int64_t block_;
  std::vector<int32_t> table_;
};

class TransposeStep final : public Step {
 public:
  TransposeStep(const Shape& shape, Integers permutation)
      : shape_(shape), permutation_(std::move(permutation)) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    permute_memory(shape_, permutation_, sizeof(float), inputs[0], output);
  }
  Algorithm algorithm() const override { return movement(); }

 private:
  Shape shape_;
  Integers permutation_;
};

// The node's inputs behind the first, which must be constants where given.
std::optional<Tensors> constants_behind(const Request& request) {
  Tensors tensors = {Tensor()};
  for (std::size_t i = 1; i < request.inputs.size(); ++i) {
    if (request.given(i) && !request.input(i).constant.defined()) return std::nullopt;
    tensors.push_back(request.given(i) ? request.input(i).constant : Tensor());
  }
  return tensors;
}

// Nodes that move whole pixels, alike in every picture: what they do with a picture of one channel
// whose values are their own positions says where each pixel comes from.
std::optional<Native> make_gather(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 3) return std::nullopt;
  auto inputs = constants_behind(request);
  const LayoutView view = layout_view(x.shape);
  constexpr int64_t kMostPositions = 1 << 24;  // exact as floats
  if (!inputs || view.spatial > kMostPositions) return std::nullopt;
  const Shape probe = x.shape.with(0, 1).with(1, 1);
  (*inputs)[0] = arange(view.spatial).reshaped(probe);
  const Tensor moved = interpret_node(request.node, *inputs)[0];
  if (moved.dim() != probe.dim() || moved.size(0) != 1 || moved.size(1) != 1 || moved.numel() == 0)
    return std::nullopt;
  std::vector<int32_t> table;
  for (int64_t i = 0; i < moved.numel(); ++i)
    table.push_back(static_cast<int32_t>(moved.data<float>()[i]));
  const Shape output = moved.shape().with(0, x.shape[0]).with(1, x.shape[1]);
  return Native{
      std::make_unique<GatherStep>(view.batch, view.spatial, view.channels, std::move(table)),
      output};
}

// True if the constants ask for the same numbers of pictures and channels.
bool is_spatial(const Request& request, const Shape& output) {
  const Shape& x = request.input(0).shape;
  return output.dim() == x.dim() && output[0] == x[0] && output[1] == x[1];
}

}  // namespace

std::optional<Native> make_concat(const Request& request) {
  const Facts& first = request.input(0);
  if (first.shape.dim() < 1) return std::nullopt;
  const std::size_t axis = normal_axis(request.call().integer("axis"), first.shape.dim());
  Shape output = first.shape.with(static_cast<int64_t>(axis), 0);
  const Shape others = output;
  int64_t total = 0;
  for (const Facts& x : request.inputs) {
    if (!x.is_float() || x.shape.dim() != first.shape.dim()) return std::nullopt;
    if (!(x.shape.with(static_cast<int64_t>(axis), 0) == others)) return std::nullopt;
    total += x.shape.begin()[axis];
  }
  output = output.with(static_cast<int64_t>(axis), total);
  const Integers strides = memory_strides(output);
  // In memory, everything inside of the axis and the axis itself are one block.
  Integers blocks;
  const int64_t inner = strides[axis];
  for (const Facts& x : request.inputs) blocks.push_back(x.shape.begin()[axis] * inner);
  const int64_t rows = output.numel() / (total * inner);
  return Native{std::make_unique<ConcatStep>(rows, std::move(blocks)), output};
}

std::optional<Native> make_reshape(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float()) return std::nullopt;
  auto inputs = constants_behind(request);
  if (!inputs) return std::nullopt;
  // The node says itself what becomes of the shape; elements of one byte are cheap to move.
  (*inputs)[0] = zeros(x.shape, DType::boolean);
  const Shape output = interpret_node(request.node, *inputs)[0].shape();
  if (reshapes_in_place(x.shape, output)) return Native{nullptr, output};
  return Native{std::make_unique<ReshapeStep>(x.shape, output), output};
}

std::optional<Native> make_transpose(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float()) return std::nullopt;
  Integers permutation = request.call().integers("perm");
  const int64_t rank = x.shape.dim();
  if (permutation.empty())
    for (int64_t i = rank; i-- > 0;) permutation.push_back(i);
  if (std::ssize(permutation) != rank) return std::nullopt;
  Integers extents;
  std::vector<char> seen(static_cast<std::size_t>(rank), 0);
  for (const int64_t axis : permutation) {
    if (axis < 0 || axis >= rank || seen[static_cast<std::size_t>(axis)]++ != 0)
      return std::nullopt;
    extents.push_back(x.shape[axis]);
  }
  return Native{std::make_unique<TransposeStep>(x.shape, std::move(permutation)), Shape(extents)};
}

std::optional<Native> make_slice(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 3) return std::nullopt;
  auto inputs = constants_behind(request);
  if (!inputs) return std::nullopt;
  (*inputs)[0] = zeros(x.shape, DType::boolean);
  const Shape output = interpret_node(request.node, *inputs)[0].shape();
  // A slice of channels or pictures of the same number is none.
  if (!is_spatial(request, output)) return std::nullopt;
  if (inputs->size() > 3 && (*inputs)[3].defined())
    for (const int64_t axis : integers_of((*inputs)[3], "axes"))
      if (normal_axis(axis, x.shape.dim()) < 2) return std::nullopt;
  if (inputs->size() <= 3 || !(*inputs)[3].defined()) return std::nullopt;
  return make_gather(request);
}

std::optional<Native> make_resize(const Request& request) {
  if (request.call().text("mode") != "nearest") return std::nullopt;
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 3) return std::nullopt;
  auto inputs = constants_behind(request);
  if (!inputs) return std::nullopt;
  // With sizes rather than scales, the probe below would be told the number of channels.
  const Tensor& scales = inputs->size() > 2 ? (*inputs)[2] : Tensor();
  if (!scales.defined() || scales.numel() != x.shape.dim()) return std::nullopt;
  const Tensor numbers = scales.to(DType::float64);
  if (numbers.data<double>()[0] != 1 || numbers.data<double>()[1] != 1) return std::nullopt;
  return make_gather(request);
}

}  // namespace convkit::infer
