// Trains a net of your own on random pictures of two classes: what a program against convkit looks
// like. It is built with the library, or on its own:
//   find_package(convkit CONFIG REQUIRED)
//   target_link_libraries(train_small PRIVATE convkit::convkit)
#include <convkit/convkit.h>

#include <cstdio>

using namespace convkit;

struct Net {
  nn::ConvNormAct2d stem{{.in_channels = 1, .out_channels = 8, .kernel_size = 3, .padding = 1}};
  nn::BasicBlock2d block{{.in_channels = 8, .channels = 16, .stride = 2}};
  nn::AdaptiveAvgPool2d pool{{.output_size = 1}};
  nn::Linear head{{.in_features = 16, .out_features = 2}};

  Tensor operator()(const Tensor& x) { return head(ops::flatten(pool(block(stem(x))), 1)); }
  void visit(auto&& v) {
    v("stem", stem);
    v("block", block);
    v("pool", pool);
    v("head", head);
  }
};

// Class 1 has a bright square in the middle of the noise.
Tensor picture_batch(const std::vector<int64_t>& labels, Generator& generator) {
  const int64_t count = static_cast<int64_t>(labels.size());
  std::vector<float> values = rand({count, 1, 16, 16}, generator).to_vector<float>();
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t y = 6; labels[i] == 1 && y < 10; ++y)
      for (std::size_t x = 6; x < 10; ++x) values[i * 256 + y * 16 + x] += 0.5F;
  return from_values(values, {count, 1, 16, 16});
}

int main() {
  manual_seed(1);
  Generator generator(2);
  Net net;
  optim::SGD optimizer(nn::parameters(net), {.lr = 0.05, .momentum = 0.9});
  for (int step = 1; step <= 30; ++step) {
    std::vector<int64_t> labels(32);
    for (int64_t& label : labels) label = static_cast<int64_t>(generator.below(2));
    const Tensor images = picture_batch(labels, generator);
    const Tensor loss = ops::cross_entropy(net(images), from_values(labels, {32}));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step % 10 == 0) std::printf("step %d: loss %.4f\n", step, loss.item());
  }
  io::save_safetensors("train_small.safetensors", nn::state_dict(net));
  std::puts("weights: train_small.safetensors (PyTorch's keys)");
}
