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

using graph::Op;

constexpr int64_t kFloatsPerTask = 1 << 15;

Algorithm movement() { return {"copy", "", 0}; }

// y = for each row, the inputs' blocks one after the other.
class ConcatStep final : public Step {
 public:
  ConcatStep(const Join& join, std::span<const char> in_place)
      : rows_(join.rows), by_channels_(join.by_channels) {
    int64_t to = 0;
    for (std::size_t i = 0; i < join.blocks.size(); ++i) {
      const int64_t floats = join.blocks[i];
      if (in_place.empty() || in_place[i] == 0) {
        blocks_.push_back({i, floats, floats, to});
        copied_ += floats;
      }
      to += floats;
    }
    pitch_ = to;
  }
  void run(std::span<const float* const> inputs, float* output) const override {
    parallel_ranges(rows_, std::max<int64_t>(1, kFloatsPerTask / std::max<int64_t>(1, copied_)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row)
                        for (const Block& block : blocks_)
                          std::copy_n(inputs[block.input] + row * block.pitch, block.floats,
                                      output + row * pitch_ + block.to);
                    });
  }
  Algorithm algorithm() const override { return movement(); }
  bool takes_pitch(int) const override { return by_channels_; }
  void set_pitch(int operand, int64_t floats) override {
    if (operand == kOutput) pitch_ = floats;
    for (Block& block : blocks_)
      if (static_cast<int>(block.input) == operand) block.pitch = floats;
  }

 private:
  struct Block {
    std::size_t input;
    int64_t floats;
    int64_t pitch;
    int64_t to;
  };
  int64_t rows_;
  bool by_channels_;
  std::vector<Block> blocks_;  // that are copied
  int64_t copied_ = 0;         // of each row
  int64_t pitch_ = 0;
};

// The same elements in logical order under another shape, whose order in memory differs.
class ReshapeStep final : public Step {
 public:
  ReshapeStep(const Shape& from, const Shape& to) : from_(from), to_(to) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    reshape_memory(from_, to_, sizeof(float), inputs[0], output);
  }
  Algorithm algorithm() const override { return movement(); }

 private:
  Shape from_;
  Shape to_;
};

// A step that moves channels within rows, which may be those of slices.
class RowStep : public Step {
 public:
  RowStep(int64_t rows, int64_t x_channels, int64_t y_channels)
      : rows_(rows), y_channels_(y_channels), x_pitch_(x_channels), y_pitch_(y_channels) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    parallel_ranges(rows_, std::max<int64_t>(1, kFloatsPerTask / y_channels_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row)
                        move(inputs[0] + row * x_pitch_, output + row * y_pitch_);
                    });
  }
  Algorithm algorithm() const override { return movement(); }
  bool takes_pitch(int) const override { return true; }
  void set_pitch(int operand, int64_t floats) override {
    (operand == kOutput ? y_pitch_ : x_pitch_) = floats;
  }

 private:
  virtual void move(const float* x, float* y) const = 0;

  int64_t rows_;
  int64_t y_channels_;
  int64_t x_pitch_;
  int64_t y_pitch_;
};

// Some of the channels of each row.
class ChannelsStep final : public RowStep {
 public:
  ChannelsStep(int64_t rows, int64_t channels, int64_t first, int64_t count)
      : RowStep(rows, channels, count), first_(first), count_(count) {}

 private:
  void move(const float* x, float* y) const override { std::copy_n(x + first_, count_, y); }

  int64_t first_;
  int64_t count_;
};

// Each row's channels as a matrix, groups by the channels of each, transposed.
class ShuffleStep final : public RowStep {
 public:
  ShuffleStep(int64_t rows, int64_t channels, int64_t groups)
      : RowStep(rows, channels, channels), each_(channels / groups), groups_(groups) {}

 private:
  void move(const float* x, float* y) const override {
    for (int64_t group = 0; group < groups_; ++group)
      for (int64_t i = 0; i < each_; ++i) y[i * groups_ + group] = *x++;
  }

  int64_t each_;
  int64_t groups_;
};

// y[row, block] = x[table[row], block], or `value` where the table has −1: pictures share the
// table, pixels keep their channels.
class GatherStep final : public Step {
 public:
  GatherStep(int64_t batch, int64_t in_rows, int64_t block, std::vector<int32_t> table, float value)
      : batch_(batch), in_rows_(in_rows), block_(block), table_(std::move(table)), value_(value) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    const auto out_rows = static_cast<int64_t>(table_.size());
    parallel_ranges(batch_ * out_rows, std::max<int64_t>(1, kFloatsPerTask / block_),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        const int64_t from = table_[static_cast<std::size_t>(row % out_rows)];
                        float* y = output + row * block_;
                        if (from < 0) {
                          std::fill_n(y, block_, value_);
                        } else {
                          std::copy_n(inputs[0] + (row / out_rows * in_rows_ + from) * block_,
                                      block_, y);
                        }
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
  float value_;
};

// DepthToSpace, and SpaceToDepth, its inverse. `rows` rows of `width` pixels have block · block ·
// channels each; spread out, they are block rows each of width · block pixels.
class BlockStep final : public Step {
 public:
  BlockStep(int64_t rows, int64_t width, int64_t block, int64_t channels, bool blocks_first,
            bool spreads)
      : rows_(rows),
        width_(width),
        block_(block),
        channels_(channels),
        blocks_first_(blocks_first),
        spreads_(spreads) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    const float* x = inputs[0];
    const int64_t deep = block_ * block_ * channels_;
    const int64_t next_channel = blocks_first_ ? 1 : block_ * block_;
    const int64_t next_place = blocks_first_ ? channels_ : 1;
    parallel_ranges(rows_, std::max<int64_t>(1, kFloatsPerTask / (width_ * deep)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row)
                        for (int64_t i = 0; i < block_; ++i)
                          for (int64_t column = 0; column < width_ * block_; ++column)
                            for (int64_t c = 0; c < channels_; ++c) {
                              const int64_t wide =
                                  ((row * block_ + i) * width_ * block_ + column) * channels_ + c;
                              const int64_t place = i * block_ + column % block_;
                              const int64_t narrow = (row * width_ + column / block_) * deep +
                                                     place * next_place + c * next_channel;
                              if (spreads_) {
                                output[wide] = x[narrow];
                              } else {
                                output[narrow] = x[wide];
                              }
                            }
                    });
  }
  Algorithm algorithm() const override { return movement(); }

 private:
  int64_t rows_;
  int64_t width_;
  int64_t block_;
  int64_t channels_;
  bool blocks_first_;
  bool spreads_;
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

// Nodes that move whole pixels, alike in every picture: what they do with a picture of one channel
// whose values are their own positions says where each pixel comes from. What a Pad adds is told
// from them by its value, here −1, and will be `value`.
std::optional<Native> make_gather(const Request& request, float value = 0) {
  const Facts& x = request.input(0);
  if (!x.is_float() || x.shape.dim() < 3) return std::nullopt;
  auto inputs = constants_behind(request);
  const LayoutView view = layout_view(x.shape);
  constexpr int64_t kMostPositions = 1 << 24;  // exact as floats
  if (!inputs || view.spatial > kMostPositions) return std::nullopt;
  const Shape probe = x.shape.with(0, 1).with(1, 1);
  (*inputs)[0] = arange(view.spatial).reshaped(probe);
  if (request.node.op == Op::pad) {
    inputs->resize(std::max<std::size_t>(inputs->size(), 3));
    (*inputs)[2] = full({}, -1);
  }
  const Tensor moved = interpret_node(request.node, *inputs)[0];
  if (moved.dim() != probe.dim() || moved.size(0) != 1 || moved.size(1) != 1 || moved.numel() == 0)
    return std::nullopt;
  std::vector<int32_t> table;
  for (int64_t i = 0; i < moved.numel(); ++i)
    table.push_back(static_cast<int32_t>(moved.data<float>()[i]));
  const Shape output = moved.shape().with(0, x.shape[0]).with(1, x.shape[1]);
  return Native{std::make_unique<GatherStep>(view.batch, view.spatial, view.channels,
                                             std::move(table), value),
                output};
}

// A Slice along the channels, if these are neighbours: what it does with their numbers says which.
std::optional<Native> slice_of_channels(const Request& request, Tensors inputs,
                                        const Shape& output) {
  const Shape& x = request.input(0).shape;
  Shape numbers = x;
  for (int64_t axis = 0; axis < x.dim(); ++axis)
    if (axis != 1) numbers = numbers.with(axis, 1);
  inputs[0] = arange(x[1]).reshaped(numbers);
  const std::vector<float> taken = interpret_node(request.node, inputs)[0].to_vector<float>();
  for (std::size_t i = 0; i < taken.size(); ++i)
    if (taken[i] != taken[0] + static_cast<float>(i)) return std::nullopt;
  if (taken.empty()) return std::nullopt;
  return Native{std::make_unique<ChannelsStep>(x.numel() / x[1], x[1],
                                               static_cast<int64_t>(taken[0]), std::ssize(taken)),
                output};
}

// True if the constants ask for the same numbers of pictures and channels.
bool is_spatial(const Request& request, const Shape& output) {
  const Shape& x = request.input(0).shape;
  return output.dim() == x.dim() && output[0] == x[0] && output[1] == x[1];
}

}  // namespace

std::optional<Tensors> constants_behind(const Request& request) {
  Tensors tensors = {Tensor()};
  for (std::size_t i = 1; i < request.inputs.size(); ++i) {
    if (request.given(i) && !request.input(i).constant.defined()) return std::nullopt;
    tensors.push_back(request.given(i) ? request.input(i).constant : Tensor());
  }
  return tensors;
}

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
  Join join{rows, std::move(blocks), first.shape.dim() >= 2 && axis == 1};
  std::unique_ptr<Step> step = make_join(join, {});
  return Native{.step = std::move(step), .output = output, .join = std::move(join)};
}

std::unique_ptr<Step> make_join(const Join& join, std::span<const char> in_place) {
  return std::make_unique<ConcatStep>(join, in_place);
}

std::unique_ptr<Step> make_shuffle(int64_t rows, int64_t channels, int64_t groups) {
  return std::make_unique<ShuffleStep>(rows, channels, groups);
}

std::optional<Native> make_reshape(const Request& request) {
  const Facts& x = request.input(0);
  if (!x.is_float()) return std::nullopt;
  auto inputs = constants_behind(request);
  if (!inputs) return std::nullopt;
  // The node says itself what becomes of the shape; elements of one byte are cheap to move.
  (*inputs)[0] = make(x.shape, DType::boolean);
  (*inputs)[0].fill(0);
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
  (*inputs)[0] = make(x.shape, DType::boolean);
  (*inputs)[0].fill(0);
  const Shape output = interpret_node(request.node, *inputs)[0].shape();
  if (inputs->size() <= 3 || !(*inputs)[3].defined()) return std::nullopt;
  const Integers axes = integers_of((*inputs)[3], "axes");
  if (axes.size() == 1 && normal_axis(axes[0], x.shape.dim()) == 1)
    return slice_of_channels(request, std::move(*inputs), output);
  // A slice of channels or pictures of the same number is none.
  if (!is_spatial(request, output)) return std::nullopt;
  for (const int64_t axis : axes)
    if (normal_axis(axis, x.shape.dim()) < 2) return std::nullopt;
  return make_gather(request);
}

std::optional<Native> make_pad(const Request& request) {
  const Facts& x = request.input(0);
  const int64_t rank = x.shape.dim();
  auto inputs = constants_behind(request);
  if (!x.is_float() || rank < 3 || !inputs || !request.given(1)) return std::nullopt;
  Integers axes;
  if (request.given(3)) {
    axes = integers_of((*inputs)[3], "axes");
  } else {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  const Integers pads = integers_of((*inputs)[1], "pads");
  if (pads.size() != 2 * axes.size()) return std::nullopt;
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (normal_axis(axes[i], rank) < 2 && (pads[i] != 0 || pads[i + axes.size()] != 0))
      return std::nullopt;
  const bool has_value = request.given(2) && (*inputs)[2].numel() > 0;
  const float value = has_value ? static_cast<float>((*inputs)[2].item()) : 0;
  return make_gather(request, value);
}

std::optional<Native> make_depth_to_space(const Request& request) {
  const Facts& x = request.input(0);
  const int64_t block = request.call().integer("blocksize");
  if (!x.is_float() || x.shape.dim() != 4 || block < 1 || block > 1024) return std::nullopt;
  const bool deep = request.node.op == Op::depth_to_space;
  const int64_t scale = deep ? block : 1;
  const int64_t shrink = deep ? 1 : block;
  if ((deep && x.shape[1] % (block * block) != 0) || x.shape[2] % shrink != 0 ||
      x.shape[3] % shrink != 0)
    return std::nullopt;
  const int64_t channels = deep ? x.shape[1] / (block * block) : x.shape[1];
  const Shape output({x.shape[0], deep ? channels : channels * block * block,
                      x.shape[2] * scale / shrink, x.shape[3] * scale / shrink});
  const Shape& small = deep ? x.shape : output;
  const bool blocks_first = !deep || request.call().text("mode") == "DCR";
  return Native{std::make_unique<BlockStep>(small[0] * small[2], small[3], block, channels,
                                            blocks_first, deep),
                output};
}

}  // namespace convkit::infer
