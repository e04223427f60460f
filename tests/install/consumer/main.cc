// A stranger's program: what the documentation promises compiles as written, links and learns.
#include <convkit/base/version.h>
#include <convkit/convkit.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace convkit;

nn::Conv1d conv1d(
    {.in_channels = 1, .out_channels = 4, .kernel_size = 3, .stride = 1, .padding = 1});
nn::Conv2d conv2d(
    {.in_channels = 3, .out_channels = 8, .kernel_size = 3, .stride = 1, .padding = 1});
nn::Conv3d conv3d(
    {.in_channels = 3, .out_channels = 8, .kernel_size = {3, 3, 3}, .padding = Padding::same});

struct ConvNormAct {
  nn::Conv2d conv;
  nn::BatchNorm2d norm;
  nn::ReLU act;

  explicit ConvNormAct(nn::Conv2dOptions o) : conv(o), norm(o.out_channels) {}
  Tensor operator()(const Tensor& x) { return act(norm(conv(x))); }
  void visit(auto&& v) {
    v("conv", conv);
    v("norm", norm);
    v("act", act);
  }
};

struct Net {
  ConvNormAct stem{{.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1}};
  nn::Linear head{{.in_features = 8, .out_features = 2}};

  Tensor operator()(const Tensor& x) {
    return head(ops::flatten(ops::adaptive_avg_pool2d(stem(x), 1), 1));
  }
  void visit(auto&& v) {
    v("stem", stem);
    v("head", head);
  }
};

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  std::exit(1);
}

// Bright pictures against dark ones: 20 steps must halve the loss of a guess, log 2.
void learn() {
  std::vector<float> pixels(8 * 3 * 6 * 6, 0.0f);
  std::fill(pixels.begin(), pixels.begin() + 4 * 3 * 6 * 6, 1.0f);
  Tensor images = from_values(pixels, {8, 3, 6, 6});
  Tensor labels = from_values<int64_t>({1, 1, 1, 1, 0, 0, 0, 0}, {8});

  Net net;
  optim::SGD optimizer(nn::parameters(net), {.lr = 0.1, .momentum = 0.9});
  double last = 0;
  for (int step = 0; step < 20; ++step) {
    Tensor loss = ops::cross_entropy(net(images), labels);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    last = loss.item();
  }
  std::printf("loss after 20 steps: %g\n", last);
  require(last < 0.5 * std::log(2.0), "the net did not learn");
}

int main() {
  std::printf("convkit %s\n", kVersionString);
  require(conv1d(ones({1, 1, 16})).shape() == Shape({1, 4, 16}), "conv1d's shape");
  require(conv2d(ones({1, 3, 9, 9})).shape() == Shape({1, 8, 9, 9}), "conv2d's shape");
  require(conv3d(ones({1, 3, 4, 5, 6})).shape() == Shape({1, 8, 4, 5, 6}), "conv3d's shape");
  learn();
  return 0;
}
