#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/exactness.h"
#include "convkit/graph/graph.h"
#include "convkit/infer/operation.h"
#include "convkit/infer/shared_weights.h"
#include "convkit/kernels/conv_program.h"
#include "convkit/kernels/elementwise.h"

/// For the sources of infer only: nodes made ready to run on plain float32 memory, for one set of
/// shapes. Values are dense in the layout of tensor/layout.h.
namespace convkit::infer {

/// What is known of a value when a net is planned.
struct Facts {
  bool shaped = false;  ///< dtype and shape will be these in every run
  DType dtype = DType::float32;
  Shape shape = {};
  Tensor constant = {};  ///< defined if the value will be this in every run

  bool is_float() const { return shaped && dtype == DType::float32 && shape.numel() > 0; }
};

/// Which algorithm a step runs, and what it costs, for people to read.
struct Algorithm {
  std::string name;
  std::string reason;
  double flop = 0;  ///< two for a multiply-add, those with padding included
};

/// The work of one node. Immutable; run() may be called from several threads at once.
class Step {
 public:
  Step() = default;
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  /// Called once, before the first run: what is costly, and vain for a step that is replaced.
  virtual void prepare() {}
  /// `inputs` are those of the node, null where none is given or the step holds what it needs of
  /// it; overwrites all of `output`.
  virtual void run(std::span<const float* const> inputs, float* output) const = 0;
  virtual Algorithm algorithm() const { return {"elementwise", "", 0}; }
  /// True for an input whose numbers the step has taken to itself, in whatever form.
  virtual bool holds(std::size_t /*input*/) const { return false; }
  /// Called at most once, before prepare: makes the step's output the largest of each `window`
  /// neighbours along the last axis instead. False, with nothing changed, if the step cannot.
  virtual bool fuse_max_pool(int64_t /*window*/) { return false; }
  /// Numbers the step holds, in bytes.
  virtual int64_t weight_bytes() const { return 0; }

  /// Whether positions of an operand, an input or kOutput, may lie further apart than its channels
  /// fill, as those of a slice of channels do; if so, set_pitch tells, before prepare(), how many
  /// floats. What lies in between belongs to others.
  static constexpr int kOutput = -1;
  virtual bool takes_pitch(int /*operand*/) const { return false; }
  virtual void set_pitch(int /*operand*/, int64_t /*floats*/) {}
};

/// What a step joins: each of `rows` rows of the output is the inputs' blocks, one after the other.
struct Join {
  int64_t rows = 0;
  Integers blocks = {};      ///< floats
  bool by_channels = false;  ///< rows are positions, blocks some of their channels
};

/// What a maker is asked for.
struct Request {
  const graph::Node& node;
  std::span<const Facts> inputs;
  Exactness exactness;
  bool shape_only = false;  ///< the step is not wanted: it may be null

  bool given(std::size_t i) const { return node.input(i) != graph::kNoValue; }
  /// The facts of an input that is given.
  const Facts& input(std::size_t i) const { return inputs[i]; }
  /// The node's attributes, as its function sees them.
  Call call() const { return {node, {}}; }
};

/// A convolution with constant weights, for steps that compute several.
struct ConvLayer {
  kernels::ConvGeometry geometry;
  Tensor weight;
  Tensor bias;  ///< undefined: zeros
  float low;
  float high;
  std::optional<kernels::UnaryFunction> function;  ///< the last act
  bool adds;                                       ///< whether it has a residual

  /// What a run of it ends with. The layer must outlive the epilogue.
  kernels::ConvEpilogue epilogue(const float* residual) const {
    return {.bias = bias.defined() ? bias.data<float>() : nullptr,
            .residual = residual,
            .low = low,
            .high = high,
            .function = function ? &*function : nullptr};
  }
};

/// A node's work.
struct Native {
  std::unique_ptr<Step> step;  ///< null: the output is input 0's memory under another shape
  Shape output;
  int overwrites = -1;                 ///< the input whose memory may be the output's, or −1
  std::optional<ConvLayer> conv = {};  ///< what the step computes, if that is all
  std::optional<Join> join = {};       ///< what the step joins, if that is all
  int64_t max_pool = 0;  ///< the step is a maximum over so many neighbours along the last axis
};

/// Makes a node's step, or nothing where there is none for these facts. Inputs that are given are
/// shaped. Nodes have one output.
using Maker = std::optional<Native> (*)(const Request& request);
/// The maker of an operator, or null.
Maker maker_of(graph::Op op);

std::optional<Native> make_conv(const Request& request);
/// One step for layers each of which alone reads what the one before writes; its inputs are those
/// of a FusedConv, 0 and 3. Nothing where one layer after another is as fast
/// (kernels/conv_chain.h).
std::optional<Native> make_conv_chain(std::span<const ConvLayer* const> layers,
                                      const Shape& output);
std::optional<Native> make_conv_transpose(const Request& request);
std::optional<Native> make_pool(const Request& request);
std::optional<Native> make_global_pool(const Request& request);
std::optional<Native> make_reduce(const Request& request);
std::optional<Native> make_unary(const Request& request);
std::optional<Native> make_clip(const Request& request);
std::optional<Native> make_prelu(const Request& request);
std::optional<Native> make_binary(const Request& request);
std::optional<Native> make_batch_norm(const Request& request);
std::optional<Native> make_softmax(const Request& request);
std::optional<Native> make_concat(const Request& request);
/// The step of a Concat, some of whose inputs need no copy: they are in their places already.
std::unique_ptr<Step> make_join(const Join& join, std::span<const char> in_place);
/// Channel i·groups + j of each of `rows` positions is the one that was j·(channels / groups) + i.
std::unique_ptr<Step> make_shuffle(int64_t rows, int64_t channels, int64_t groups);
/// GroupNormalization of an x of that shape, scale and shift of each channel.
std::unique_ptr<Step> make_group_norm(const Shape& x, int64_t groups, double epsilon, Tensor scale,
                                      Tensor shift);
std::optional<Native> make_reshape(const Request& request);
std::optional<Native> make_transpose(const Request& request);
std::optional<Native> make_slice(const Request& request);
std::optional<Native> make_resize(const Request& request);
std::optional<Native> make_pad(const Request& request);
std::optional<Native> make_depth_to_space(const Request& request);
std::optional<Native> make_instance_norm(const Request& request);
std::optional<Native> make_layer_norm(const Request& request);
std::optional<Native> make_group_norm(const Request& request);
std::optional<Native> make_lrn(const Request& request);
std::optional<Native> make_matmul(const Request& request);

/// A place for the node's first input, and the others, all of them constants where they are given;
/// nothing if one is not known.
std::optional<Tensors> constants_behind(const Request& request);

/// How `a` and `b` stretch over a result of shape `y`, in its memory order; nothing where their
/// innermost elements are neither neighbours nor one.
std::optional<kernels::Broadcast> broadcast_of(const Shape& a, const Shape& b, const Shape& y);

}  // namespace convkit::infer
