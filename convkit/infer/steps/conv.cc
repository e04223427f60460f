#include <algorithm>
#include <utility>

#include "convkit/base/thread_pool.h"
#include "convkit/infer/kernel_function.h"
#include "convkit/infer/steps/step.h"
#include "convkit/infer/window.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/tensor/deferred.h"

namespace convkit::infer {
namespace {

using kernels::ConvEpilogue;
using kernels::ConvGeometry;
using kernels::Direction;

constexpr double kFlopPerMac = 2;
constexpr std::size_t kResidual = 3;  // of a FusedConv's inputs

// Weights as they were before they were packed: for plans of other shapes.
class Unpacked final : public TensorSource {
 public:
  Unpacked(std::shared_ptr<const kernels::ConvProgram> program, SharedFloats packed)
      : program_(std::move(program)), packed_(std::move(packed)) {}
  void read_rows(int64_t first, int64_t count, void* target) const override {
    program_->unpack_rows(packed_->data(), first, count, static_cast<float*>(target));
  }

 private:
  std::shared_ptr<const kernels::ConvProgram> program_;
  SharedFloats packed_;
};

// A program with its weights packed for it.
class Convolution {
 public:
  Convolution(const ConvGeometry& geometry, Direction direction, Exactness exactness, Tensor weight)
      : geometry_(geometry),
        direction_(direction),
        // A transform of one tap only makes its weights larger, which a dense layer reads once.
        options_{geometry.kernel == kernels::Extents{1, 1, 1} ? Exactness::exact : exactness,
                 kernels::Weights::fixed, kernels::planning(), true},
        program_(kernels::planned_program(geometry, direction, options_)),
        weight_(std::move(weight)) {}

  void pack() {
    if (program_->packed_floats() == 0) return;
    packed_ = share(packed());
    const std::shared_ptr<const TensorSource> source = source_of(weight_);
    if (source != nullptr && source->holds_memory() &&
        program_->unpack_rows(packed_->data(), 0, 0, nullptr))
      replace_source(weight_, std::make_shared<Unpacked>(program_, packed_));
    weight_ = Tensor();
  }

  void run(const float* x, const ConvEpilogue& epilogue, float* y) const {
    const float* const w = packed_ ? packed_->data() : weight_.data<float>();
    if (pools_) return program_->run_pooled(x, w, epilogue, y);
    program_->run(x, w, epilogue, y);
  }
  bool fuse_max_pool(int64_t window) {
    pools_ = program_->pool_window() == window;
    return pools_;
  }
  bool takes_out_pitch() const { return !pools_ && program_->takes_out_pitch(); }
  Algorithm algorithm() const {
    const kernels::ConvChoice choice = kernels::choose(geometry_, direction_, options_);
    return {choice.algorithm->name, choice.reason,
            kFlopPerMac * static_cast<double>(kernels::macs(geometry_))};
  }
  int64_t weight_bytes() const {
    const auto floats = packed_ ? static_cast<int64_t>(packed_->size()) : weight_.numel();
    return floats * static_cast<int64_t>(sizeof(float));
  }

 private:
  Buffer<float> packed() const {
    const int64_t floats = program_->packed_floats();
    Buffer<float> packed(static_cast<std::size_t>(floats), Pages::ordinary);
    // Gaps between what a program packs are part of what is compared, and of what a run may read.
    constexpr int64_t kFloatsPerTask = int64_t{1} << 18;
    parallel_ranges(floats, kFloatsPerTask, [&](int64_t begin, int64_t end) {
      std::fill(packed.data() + begin, packed.data() + end, 0.0F);
    });
    const std::shared_ptr<const TensorSource> source = source_of(weight_);
    if (source == nullptr) {
      program_->pack(weight_.data<float>(), packed.data());
      return packed;
    }
    // Weights that nobody else has read are not kept beside the packed ones.
    const auto read = [&](int64_t first, int64_t count, float* rows) {
      source->read_rows(first, count, rows);
    };
    if (program_->pack_rows(read, packed.data())) return packed;
    // In parts that stay in the second-level cache while they are turned and scaled.
    constexpr int64_t kFloatsOfPart = int64_t{1} << 16;
    const int64_t row = weight_.numel() / weight_.size(0);
    Buffer<float> plain(static_cast<std::size_t>(weight_.numel()), Pages::ordinary);
    parallel_ranges(weight_.size(0), kFloatsOfPart / row, [&](int64_t begin, int64_t end) {
      read(begin, end - begin, plain.data() + begin * row);
    });
    program_->pack(plain.data(), packed.data());
    return packed;
  }

  ConvGeometry geometry_;
  Direction direction_;
  kernels::PlanOptions options_;
  std::shared_ptr<const kernels::ConvProgram> program_;
  Tensor weight_;        ///< where the program reads it as it is
  SharedFloats packed_;  ///< where it does not
  bool pools_ = false;
};

constexpr std::size_t kWeight = 1;
constexpr std::size_t kBias = 2;

class ConvStep final : public Step {
 public:
  // Of the layer, the weight is the convolution's.
  ConvStep(Convolution convolution, ConvLayer layer)
      : convolution_(std::move(convolution)), layer_(std::move(layer)) {
    layer_.weight = Tensor();
  }

  void prepare() override { convolution_.pack(); }
  void run(std::span<const float* const> inputs, float* output) const override {
    ConvEpilogue epilogue =
        layer_.epilogue(inputs.size() > kResidual ? inputs[kResidual] : nullptr);
    epilogue.out_pitch = pitch_;
    convolution_.run(inputs[0], epilogue, output);
  }
  // The residual, which would have to have the same pitch, is an input of its own.
  bool takes_pitch(int operand) const override {
    return operand == kOutput && !layer_.adds && convolution_.takes_out_pitch();
  }
  void set_pitch(int, int64_t floats) override { pitch_ = floats; }
  Algorithm algorithm() const override { return convolution_.algorithm(); }
  bool fuse_max_pool(int64_t window) override {
    return !layer_.function && convolution_.fuse_max_pool(window);
  }
  bool holds(std::size_t input) const override { return input == kWeight || input == kBias; }
  int64_t weight_bytes() const override { return convolution_.weight_bytes(); }

 private:
  Convolution convolution_;
  ConvLayer layer_;
  int64_t pitch_ = 0;
};

class ConvTransposeStep final : public Step {
 public:
  ConvTransposeStep(Convolution convolution, Tensor bias, const kernels::Broadcast& broadcast)
      : convolution_(std::move(convolution)), bias_(std::move(bias)), broadcast_(broadcast) {}

  void prepare() override { convolution_.pack(); }
  void run(std::span<const float* const> inputs, float* output) const override {
    if (!bias_.defined()) return convolution_.run(inputs[0], {.out_pitch = pitch_}, output);
    if (convolution_.takes_out_pitch())
      return convolution_.run(inputs[0], {.bias = bias_.data<float>(), .out_pitch = pitch_},
                              output);
    convolution_.run(inputs[0], {}, output);
    kernels::binary(kernels::BinaryOp::add, broadcast_, output, bias_.data<float>(), output);
  }
  bool takes_pitch(int operand) const override {
    return operand == kOutput && convolution_.takes_out_pitch();
  }
  void set_pitch(int, int64_t floats) override { pitch_ = floats; }
  Algorithm algorithm() const override { return convolution_.algorithm(); }
  bool holds(std::size_t input) const override { return input == kWeight || input == kBias; }
  int64_t weight_bytes() const override { return convolution_.weight_bytes(); }

 private:
  Convolution convolution_;
  Tensor bias_;
  kernels::Broadcast broadcast_;
  int64_t pitch_ = 0;
};

Shape with_spatial(int64_t batch, int64_t channels, const Integers& spatial) {
  Integers extents = {batch, channels};
  extents.insert(extents.end(), spatial.begin(), spatial.end());
  return Shape(extents);
}

// The weight and the bias are constants of float32, and the bias fits.
bool has_constant_weights(const Request& request, int64_t channels) {
  if (!request.input(0).is_float() || !request.input(1).is_float() ||
      !request.input(1).constant.defined())
    return false;
  if (!request.given(2)) return true;
  const Facts& bias = request.input(2);
  return bias.is_float() && bias.constant.defined() && bias.shape == Shape({channels});
}

}  // namespace

std::optional<Native> make_conv(const Request& request) {
  const Facts& x = request.input(0);
  const Facts& w = request.input(1);
  if (!has_constant_weights(request, w.shape.dim() > 0 ? w.shape[0] : 0)) return std::nullopt;
  const int64_t rank = x.shape.dim();
  if (w.shape.dim() != rank || rank < 2 || rank > 2 + kernels::kAxes) return std::nullopt;
  const int64_t groups = request.call().integer("group");
  if (groups < 1 || w.shape[1] * groups != x.shape[1] || w.shape[0] % groups != 0)
    return std::nullopt;
  ConvGeometry geometry;
  Shape output;
  if (rank == 2) {
    // Rows are positions along W.
    geometry.in_channels = x.shape[1];
    geometry.out_channels = w.shape[0];
    geometry.in[2] = geometry.out[2] = x.shape[0];
    output = Shape({x.shape[0], w.shape[0]});
  } else {
    const Integers kernel(w.shape.begin() + 2, w.shape.end());
    const Integers& told = request.call().integers("kernel_shape");
    if (!told.empty() && told != kernel) return std::nullopt;
    const Windows windows = windows_of(request.call(), x.shape, kernel);
    geometry = conv_geometry(windows, x.shape[0], x.shape[1], w.shape[0], groups);
    output = with_spatial(x.shape[0], w.shape[0], windows.out);
  }
  if (output.numel() == 0) return std::nullopt;
  // Before algorithms are weighed: a file may ask for any padding.
  need_room(output, DType::float32);
  const bool is_fused = request.node.op == graph::Op::fused_conv;
  const bool adds = is_fused && request.given(3);
  if (adds && (!request.input(3).is_float() || !(request.input(3).shape == output)))
    return std::nullopt;
  kernels::validate(geometry);
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  if (is_fused) {
    low = static_cast<float>(request.call().number("low"));
    high = static_cast<float>(request.call().number("high"));
  }
  if (request.shape_only) return Native{nullptr, output};
  const Tensor bias = request.given(2) ? request.input(2).constant : Tensor();
  ConvLayer layer{geometry, w.constant, bias, low, high, std::nullopt, adds};
  if (const auto function = function_of(request.node)) layer.function = kernel_function(*function);
  return Native{
      .step = std::make_unique<ConvStep>(
          Convolution(geometry, Direction::forward, request.exactness, w.constant), layer),
      .output = output,
      .overwrites = adds ? static_cast<int>(kResidual) : -1,
      .conv = std::move(layer)};
}

std::optional<Native> make_conv_transpose(const Request& request) {
  const Facts& x = request.input(0);
  const Facts& w = request.input(1);
  const int64_t groups = request.call().integer("group");
  const int64_t rank = x.shape.dim();
  if (groups < 1 || rank < 3 || rank > 2 + kernels::kAxes || w.shape.dim() != rank ||
      w.shape[0] != x.shape[1] || w.shape[0] % groups != 0)
    return std::nullopt;
  const int64_t channels = w.shape[1] * groups;
  if (!has_constant_weights(request, channels)) return std::nullopt;
  const Integers kernel(w.shape.begin() + 2, w.shape.end());
  const Windows windows = transposed_windows(request.call(), x.shape, kernel);
  const ConvGeometry geometry = conv_geometry(windows, x.shape[0], channels, x.shape[1], groups);
  const Shape output = with_spatial(x.shape[0], channels, windows.in);
  need_room(output, DType::float32);
  if (request.shape_only) return Native{nullptr, output};
  kernels::validate(geometry);
  Tensor bias = request.given(2) ? request.input(2).constant : Tensor();
  // Along axis 1, the innermost in memory.
  Integers column(static_cast<std::size_t>(rank), 1);
  column[1] = channels;
  const auto broadcast = broadcast_of(output, Shape(column), output);
  if (!broadcast) return std::nullopt;
  return Native{std::make_unique<ConvTransposeStep>(
                    Convolution(geometry, Direction::backward_input, request.exactness, w.constant),
                    std::move(bias), *broadcast),
                output};
}

}  // namespace convkit::infer
