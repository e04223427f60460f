// The single layers of round_trip.h.
#include <algorithm>
#include <array>

#include "convkit/autograd/record.h"
#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"
#include "convkit/nn/conv.h"
#include "convkit/nn/conv_norm_act.h"
#include "convkit/nn/dropout.h"
#include "convkit/nn/flatten.h"
#include "convkit/nn/identity.h"
#include "convkit/nn/linear.h"
#include "convkit/nn/pool.h"
#include "convkit/nn/residual.h"
#include "convkit/nn/sequential.h"
#include "convkit/nn/softmax.h"
#include "convkit/ops/batch_norm.h"
#include "convkit/ops/dropout.h"
#include "tests/support/round_trip.h"

namespace convkit::test {
namespace {

class List {
 public:
  template <class Make>
  void add(const std::string& name, const Shape& sample, Make make, std::string refusal = "") {
    cases.push_back({name, sample, [make] { return nn::AnyModule(make()); }, std::move(refusal)});
  }
  std::vector<RoundTripCase> cases;
};

constexpr const char* kModes[] = {"zeros", "reflect", "replicate", "circular"};

// Channels and unlike extents, few enough to be quick and enough for windows of every kind.
template <int Rank>
Shape sample_of(int64_t channels) {
  constexpr int64_t kExtents[] = {9, 12, 11};
  std::vector<int64_t> shape = {channels};
  for (int axis = 0; axis < Rank; ++axis) shape.push_back(kExtents[axis] - (Rank == 3 ? 2 : 0));
  return Shape(shape);
}

template <int Rank>
void add_convolutions(List& list) {
  using Options = nn::ConvOptions<Rank>;
  const auto add = [&](const std::string& name, const Options& options) {
    list.add(message("conv", Rank, "d-", name), sample_of<Rank>(options.in_channels),
             [options] { return nn::Conv<Rank>(options); });
  };
  const Options plain{.in_channels = 4, .out_channels = 6, .kernel_size = 3};
  const auto with = [&](auto change) {
    Options options = plain;
    change(options);
    return options;
  };
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular}) {
    const std::string suffix = kModes[static_cast<int>(mode)];
    for (const int64_t kernel : {2, 3, 4}) {
      add(message("same-k", kernel, "-", suffix), with([&](Options& o) {
            o.kernel_size = kernel;
            o.padding = Padding::same;
            o.padding_mode = mode;
          }));
      add(message("same-k", kernel, "-d2-", suffix), with([&](Options& o) {
            o.kernel_size = kernel;
            o.padding = Padding::same;
            o.dilation = 2;
            o.padding_mode = mode;
          }));
    }
    add("same-stride2-" + suffix, with([&](Options& o) {
          o.kernel_size = 4;
          o.stride = 2;
          o.padding = Padding::same;
          o.padding_mode = mode;
        }));
    add("pad1-stride2-" + suffix, with([&](Options& o) {
          o.stride = 2;
          o.padding = 1;
          o.padding_mode = mode;
        }));
    add("ends-" + suffix, with([&](Options& o) {
          o.padding = ConvPadding<Rank>::ends(2, 1);
          o.padding_mode = mode;
        }));
  }
  add("valid", with([](Options& o) { o.padding = Padding::valid; }));
  add("no-bias", with([](Options& o) { o.bias = false; }));
  add("pointwise", with([](Options& o) { o.kernel_size = 1; }));
  add("dilation3", with([](Options& o) {
        o.dilation = 3;
        o.padding = 3;
      }));
  add("groups2", with([](Options& o) {
        o.groups = 2;
        o.padding = 1;
      }));
  add("depthwise", with([](Options& o) {
        o.out_channels = 4;
        o.groups = 4;
        o.padding = 1;
      }));
  add("depthwise-multiplier-stride2", with([](Options& o) {
        o.out_channels = 12;
        o.groups = 4;
        o.stride = 2;
        o.padding = 1;
      }));
  // Where Winograd's algorithms apply.
  add("wide", with([](Options& o) {
        o.in_channels = 32;
        o.out_channels = 32;
        o.padding = 1;
      }));
}

template <int Rank>
void add_pools(List& list) {
  const Shape sample = sample_of<Rank>(3);
  const auto add = [&](const std::string& name, auto make) {
    list.add(message(name, Rank, "d"), sample, make);
  };
  for (const bool ceil : {false, true}) {
    const std::string suffix = ceil ? "-ceil-" : "-";
    for (const int64_t kernel : {2, 3, 4})
      for (const int64_t stride : {1, 2, 3, 5})
        for (int64_t padding = 0; padding <= kernel / 2; ++padding) {
          const std::string window = message("k", kernel, "-s", stride, "-p", padding, suffix);
          add("maxpool-" + window, [=] {
            return nn::MaxPool<Rank>(
                {.kernel_size = kernel, .stride = stride, .padding = padding, .ceil_mode = ceil});
          });
          for (const bool counts : {true, false})
            add("avgpool-" + window + (counts ? "" : "without-pads-"), [=] {
              return nn::AvgPool<Rank>({.kernel_size = kernel,
                                        .stride = stride,
                                        .padding = padding,
                                        .ceil_mode = ceil,
                                        .count_include_pad = counts});
            });
        }
    add("maxpool-d2" + suffix, [=] {
      return nn::MaxPool<Rank>(
          {.kernel_size = 3, .stride = 2, .padding = 1, .dilation = 2, .ceil_mode = ceil});
    });
  }
  add("avgpool-divisor-", [] {
    return nn::AvgPool<Rank>({.kernel_size = 3, .stride = 2, .padding = 1, .divisor_override = 5});
  });
  add("avgpool-divisor-ceil-", [] {
    return nn::AvgPool<Rank>(
        {.kernel_size = 2, .stride = 2, .ceil_mode = true, .divisor_override = 5});
  });
  for (const int64_t out : {1, 3, 5, 20}) {
    add(message("adaptive-avgpool-", out, "-"), [=] { return nn::AdaptiveAvgPool<Rank>(out); });
    add(message("adaptive-maxpool-", out, "-"), [=] { return nn::AdaptiveMaxPool<Rank>(out); });
  }
  add("adaptive-maxpool-even-", [] {
    return nn::Sequential{nn::MaxPool<Rank>({.kernel_size = 2, .stride = 1, .padding = 1}),
                          nn::AvgPool<Rank>({.kernel_size = 2, .stride = 2}),
                          nn::AdaptiveMaxPool<Rank>(1)};
  });
}

template <int Rank>
void add_blocks(List& list) {
  const Shape sample = sample_of<Rank>(4);
  const auto add = [&](const std::string& name, auto make) {
    list.add(message(name, Rank, "d"), sample, make);
  };
  add("batchnorm", [] { return nn::BatchNorm<Rank>(4); });
  add("batchnorm-no-affine-",
      [] { return nn::BatchNorm<Rank>(nn::BatchNormOptions{.num_features = 4, .affine = false}); });
  add("batchnorm-average-", [] {
    return nn::BatchNorm<Rank>(
        nn::BatchNormOptions{.num_features = 4, .eps = 1e-3, .momentum = std::nullopt});
  });
  list.add(
      message("batchnorm-no-statistics-", Rank, "d"), sample,
      [] {
        return nn::BatchNorm<Rank>(
            nn::BatchNormOptions{.num_features = 4, .track_running_stats = false});
      },
      "track_running_stats");
  add("conv-norm-act", [] {
    return nn::ConvNormAct<Rank>(
        {.in_channels = 4, .out_channels = 8, .kernel_size = 3, .padding = 1, .bias = false});
  });
  add("norm-relu-pool", [] {
    return nn::Sequential{nn::BatchNorm<Rank>(4), nn::ReLU(),
                          nn::MaxPool<Rank>({.kernel_size = 3, .stride = 2, .padding = 1})};
  });
  add("basic-block", [] { return nn::BasicBlock<Rank>({.in_channels = 4, .channels = 4}); });
  add("basic-block-stride2-",
      [] { return nn::BasicBlock<Rank>({.in_channels = 4, .channels = 6, .stride = 2}); });
  add("bottleneck", [] { return nn::Bottleneck<Rank>({.in_channels = 4, .channels = 1}); });
  add("bottleneck-stride2-",
      [] { return nn::Bottleneck<Rank>({.in_channels = 4, .channels = 2, .stride = 2}); });
  add("channel-dropout", [] { return nn::ChannelDropout<Rank>(0.5); });
  add("prelu-channels-", [] { return nn::PReLU({.num_parameters = 4}); });
}

struct FusedOperations {
  Tensor operator()(const Tensor& x) const {
    const Tensor some = full({x.size(1)}, 0.5);
    const Tensor y = ops::batch_norm_relu(x, x, some, some);
    return ops::batch_norm_relu_max_pool<2>(y, some, some, Tensor(), some,
                                            {.pool = {.kernel_size = 2}});
  }
};

void add_the_rest(List& list) {
  const Shape picture{4, 9, 12};
  const auto add = [&](const std::string& name, auto layer) {
    list.add(name, picture, [layer] { return layer; });
  };
  add("relu", nn::ReLU());
  add("relu-in-place", nn::ReLU({.inplace = true}));
  add("leaky-relu", nn::LeakyReLU({.negative_slope = 0.3}));
  list.add("prelu-one", picture, [] { return nn::PReLU(); });
  add("gelu", nn::GELU());
  add("gelu-tanh", nn::GELU({.approximate = ops::GeluApproximation::tanh}));
  add("relu6", nn::ReLU6());
  add("sigmoid", nn::Sigmoid());
  add("tanh", nn::Tanh());
  add("silu", nn::SiLU());
  add("elu", nn::ELU({.alpha = 0.7}));
  add("selu", nn::SELU());
  add("softplus", nn::Softplus());
  add("mish", nn::Mish());
  add("hardswish", nn::Hardswish());
  add("hardsigmoid", nn::Hardsigmoid());
  add("softmax", nn::Softmax());
  add("softmax-last", nn::Softmax({.dim = -1}));
  add("log-softmax", nn::LogSoftmax());
  add("identity", nn::Identity());
  add("dropout", nn::Dropout(0.5));
  add("flatten", nn::Flatten());
  add("flatten-middle", nn::Flatten({.start_dim = 2}));
  add("flatten-first-two", nn::Flatten({.start_dim = 1, .end_dim = 2}));
  add("flatten-the-batch", nn::Flatten({.start_dim = 0, .end_dim = 1}));
  add("norm-relu-pool-operations", FusedOperations());
  for (const bool bias : {true, false}) {
    const std::string suffix = bias ? "" : "-no-bias";
    const nn::LinearOptions options{.in_features = 12, .out_features = 5, .bias = bias};
    list.add("linear" + suffix, {12}, [=] { return nn::Linear(options); });
    list.add("linear-of-pictures" + suffix, picture, [=] { return nn::Linear(options); });
  }
  list.add("batchnorm-of-features", {6}, [] { return nn::BatchNorm1d(6); });
  list.add("prelu-of-features", {6}, [] { return nn::PReLU({.num_parameters = 6}); });
  const auto dropping = [](const Tensor& x) { return ops::dropout(x, 0.5); };
  list.add(
      "dropout-function", picture, [=] { return dropping; }, "dropout: it draws random");
}

}  // namespace

std::vector<RoundTripCase> single_layers() {
  List list;
  add_convolutions<1>(list);
  add_convolutions<2>(list);
  add_convolutions<3>(list);
  add_pools<1>(list);
  add_pools<2>(list);
  add_pools<3>(list);
  add_blocks<1>(list);
  add_blocks<2>(list);
  add_blocks<3>(list);
  add_the_rest(list);
  return list.cases;
}

}  // namespace convkit::test
