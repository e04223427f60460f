#include <gtest/gtest.h>

#include <vector>

#include "convkit/base/memory.h"
#include "convkit/models/m5.h"
#include "convkit/models/resnet.h"
#include "convkit/models/small_net.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/loss.h"
#include "convkit/optim/adam.h"
#include "convkit/optim/sgd.h"
#include "tests/support/on_threads.h"
#include "tests/support/sanitizers.h"

namespace convkit::train {
namespace {

// One thread: on several, how many tasks hold scratch memory at once is a matter of chance.
template <class Net, class Optimizer>
void expect_steady(Net net, Optimizer optimizer, const Shape& input) {
  if (!test::kCachesMemory)
    GTEST_SKIP() << "the cache is off, so that the sanitizer sees every misuse";
  const test::OnThreads one(1);
  const Tensor x = randn(input);
  const Tensor labels = zeros({input[0]}, DType::int64);
  std::vector<std::size_t> blocks;
  for (int step = 0; step < 6; ++step) {
    optimizer.zero_grad();
    ops::cross_entropy(net(x), labels).backward();
    optimizer.step();
    blocks.push_back(system_allocations());
  }
  EXPECT_EQ(blocks, std::vector<std::size_t>(
                        {blocks[0], blocks[1], blocks[1], blocks[1], blocks[1], blocks[1]}));
}

TEST(TrainingStep, TakesNothingFromTheSystemAfterTheSecond) {
  models::M5 m5({.num_classes = 4});
  expect_steady(m5, optim::SGD(nn::parameters(m5), {.lr = 0.01, .momentum = 0.9}), {2, 1, 2000});
  models::ResNet<2> resnet = models::resnet18<2>({.num_classes = 4});
  expect_steady(resnet, optim::SGD(nn::parameters(resnet), {.lr = 0.01, .momentum = 0.9}),
                {2, 3, 32, 32});
  models::SmallNet<3> small({.num_classes = 4});
  expect_steady(small, optim::Adam(nn::parameters(small), {}), {2, 1, 8, 16, 16});
}

}  // namespace
}  // namespace convkit::train
