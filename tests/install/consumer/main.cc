// A stranger's program: what the documentation promises compiles as written, links and learns.
#include <convkit/base/version.h>
#include <convkit/convkit.h>

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
  nn::Linear head{8, 2};

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

int main() {
  std::printf("convkit %s\n", kVersionString);
  require(conv1d(ones({1, 1, 16})).shape() == Shape({1, 4, 16}), "conv1d's shape");
  require(conv2d(ones({1, 3, 9, 9})).shape() == Shape({1, 8, 9, 9}), "conv2d's shape");
  require(conv3d(ones({1, 3, 4, 5, 6})).shape() == Shape({1, 8, 4, 5, 6}), "conv3d's shape");
  return 0;
}
