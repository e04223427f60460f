#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/peers.h"

namespace convkit::bench {
namespace {

using torch::nn::AnyModule;
using torch::nn::Sequential;

// Layers by rank, so that every net below is written once.
template <int Rank>
struct Layers;
template <>
struct Layers<1> {
  using Conv = torch::nn::Conv1d;
  using Norm = torch::nn::BatchNorm1d;
  using MaxPool = torch::nn::MaxPool1d;
  using Average = torch::nn::AdaptiveAvgPool1d;
};
template <>
struct Layers<2> {
  using Conv = torch::nn::Conv2d;
  using Norm = torch::nn::BatchNorm2d;
  using MaxPool = torch::nn::MaxPool2d;
  using Average = torch::nn::AdaptiveAvgPool2d;
};
template <>
struct Layers<3> {
  using Conv = torch::nn::Conv3d;
  using Norm = torch::nn::BatchNorm3d;
  using MaxPool = torch::nn::MaxPool3d;
  using Average = torch::nn::AdaptiveAvgPool3d;
};

template <int Rank>
typename Layers<Rank>::Conv conv(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                 bool bias = false) {
  return typename Layers<Rank>::Conv(
      torch::nn::ConvOptions<Rank>(in, out, kernel).stride(stride).padding(kernel / 2).bias(bias));
}

torch::nn::ReLU relu() { return torch::nn::ReLU(torch::nn::ReLUOptions(true)); }

template <int Rank>
struct BlockImpl : torch::nn::Module {
  BlockImpl(int64_t in, int64_t out, int64_t stride)
      : main(conv<Rank>(in, out, 3, stride), typename Layers<Rank>::Norm(out), relu(),
             conv<Rank>(out, out, 3, 1), typename Layers<Rank>::Norm(out)) {
    register_module("main", main);
    if (stride != 1 || in != out) {
      shortcut = Sequential(conv<Rank>(in, out, 1, stride), typename Layers<Rank>::Norm(out));
      register_module("shortcut", shortcut);
    }
  }
  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor y = main->forward(x);
    y += shortcut.is_empty() ? x : shortcut->forward(x);
    return y.relu_();
  }
  Sequential main;
  Sequential shortcut = nullptr;
};

template <int Rank>
void add_stages(Sequential& net) {
  int64_t in = 64;
  for (const int64_t out : {64, 128, 256, 512}) {
    net->push_back(BlockImpl<Rank>(in, out, out == 64 ? 1 : 2));
    net->push_back(BlockImpl<Rank>(out, out, 1));
    in = out;
  }
}

template <int Rank>
void add_head(Sequential& net, int64_t channels) {
  net->push_back(typename Layers<Rank>::Average(1));
  net->push_back(torch::nn::Flatten());
  net->push_back(torch::nn::Linear(channels, kTrainClasses));
}

Sequential resnet18() {
  Sequential net(conv<2>(3, 64, 7, 2), torch::nn::BatchNorm2d(64), relu(),
                 torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(3).stride(2).padding(1)));
  add_stages<2>(net);
  add_head<2>(net, 512);
  return net;
}

Sequential r3d_18() {
  Sequential net(torch::nn::Conv3d(torch::nn::Conv3dOptions(3, 64, {3, 7, 7})
                                       .stride({1, 2, 2})
                                       .padding({1, 3, 3})
                                       .bias(false)),
                 torch::nn::BatchNorm3d(64), relu());
  add_stages<3>(net);
  add_head<3>(net, 512);
  return net;
}

Sequential m5() {
  Sequential net(conv<1>(1, 64, 79, 4, true), torch::nn::BatchNorm1d(64), relu(),
                 torch::nn::MaxPool1d(4));
  int64_t in = 64;
  for (const int64_t out : {64, 128, 256}) {
    net->push_back(conv<1>(in, out, 3, 1, true));
    net->push_back(torch::nn::BatchNorm1d(out));
    net->push_back(relu());
    net->push_back(torch::nn::MaxPool1d(4));
    in = out;
  }
  add_head<1>(net, 256);
  return net;
}

Sequential small_net() {
  Sequential net;
  int64_t in = 1;
  for (const int64_t out : {32, 64, 128}) {
    if (in != 1) net->push_back(torch::nn::MaxPool2d(2));
    for (int layer = 0; layer < 2; ++layer) {
      net->push_back(conv<2>(in, out, 3, 1));
      net->push_back(torch::nn::BatchNorm2d(out));
      net->push_back(relu());
      in = out;
    }
  }
  net->push_back(torch::nn::AdaptiveAvgPool2d(1));
  net->push_back(torch::nn::Flatten());
  net->push_back(torch::nn::Dropout(0.1));
  net->push_back(torch::nn::Linear(128, kTrainClasses));
  return net;
}

Sequential make_net(const std::string& name) {
  if (name == "default") return small_net();
  if (name == "resnet18") return resnet18();
  if (name == "m5") return m5();
  return r3d_18();
}

// Steps of one net, with the input and the weights in one memory format.
Work step(const TrainNet& chosen, bool channels_last) {
  torch::manual_seed(1);
  Sequential net = make_net(chosen.name);
  torch::Tensor x = torch::randn(chosen.input);
  if (channels_last) {
    const auto format =
        x.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::ChannelsLast3d;
    x = x.contiguous(format);
    for (torch::Tensor& parameter : net->parameters())
      if (parameter.dim() == x.dim()) parameter.set_data(parameter.data().contiguous(format));
  }
  const torch::Tensor labels = torch::arange(chosen.input[0]) % kTrainClasses;
  const auto optimizer = std::make_shared<torch::optim::SGD>(
      net->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
  return [net, x, labels, optimizer]() mutable {
    const torch::Tensor loss = torch::nn::functional::cross_entropy(net->forward(x), labels);
    optimizer->zero_grad();
    loss.backward();
    optimizer->step();
  };
}

}  // namespace

std::vector<Work> torch_training_step(const TrainNet& net, int threads) {
  torch::set_num_threads(threads);
  std::vector<Work> ways = {step(net, false)};
  if (net.input.size() >= 4) ways.push_back(step(net, true));
  return ways;
}

}  // namespace convkit::bench
