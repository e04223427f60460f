#include "tests/support/round_trip.h"

#include <cmath>
#include <optional>
#include <ostream>

#include "convkit/autograd/record.h"
#include "convkit/models/registry.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/arithmetic.h"
#include "convkit/ops/loss.h"
#include "convkit/optim/sgd.h"

namespace convkit::test {
namespace {

RoundTripCase net_case(const std::string& net, const Shape& sample, int64_t classes) {
  return {.name = message(net, "-", sample.dim() - 1, "d"), .sample = sample, .make = [=] {
            return models::make_model(net, sample, classes);
          }};
}

}  // namespace

void PrintTo(const RoundTripCase& c, std::ostream* out) {
  *out << c.name << " " << to_text(c.sample);
}

std::vector<RoundTripCase> small_nets() {
  constexpr int64_t kClasses = 7;
  const std::pair<const char*, Shape> nets[] = {
      {"default", {2, 20}},          {"default", {1, 12, 9}},    {"default", {1, 5, 6, 7}},
      {"lenet5", {1, 28, 28}},       {"resnet18", {2, 40}},      {"resnet18", {3, 40, 33}},
      {"resnet18", {1, 9, 17, 16}},  {"resnet34", {3, 32, 32}},  {"resnet50", {3, 33, 40}},
      {"mobilenet_v2", {3, 64, 40}}, {"r3d_18", {3, 4, 20, 17}}, {"m5", {1, 2000}}};
  std::vector<RoundTripCase> cases;
  for (const auto& [net, sample] : nets) cases.push_back(net_case(net, sample, kClasses));
  return cases;
}

std::vector<RoundTripCase> full_nets() {
  std::vector<RoundTripCase> cases;
  for (const models::ModelFacts& facts : models::model_list())
    cases.push_back(net_case(std::string(facts.name), facts.input, facts.num_classes));
  return cases;
}

void train_a_little(nn::AnyModule& net, const Shape& sample) {
  constexpr int kSteps = 3;
  constexpr int64_t kBatch = 4;
  Generator random(20240);
  const std::vector<Tensor> parameters = nn::parameters(net);
  std::optional<optim::SGD> optimizer;
  if (!parameters.empty())
    optimizer.emplace(parameters, optim::SGDOptions{.lr = 0.001, .momentum = 0.9});
  nn::train(net);
  for (int step = 0; step < kSteps; ++step) {
    // Off the centre and wider than the running statistics start with.
    const Tensor y = net(randn(sample.with_inserted(0, kBatch), random) * 1.5 + 0.3);
    if (!optimizer) continue;
    const Tensor loss = ops::mse_loss(y, randn(y.shape(), random));
    CONVKIT_CHECK(std::isfinite(loss.item()), ValueError, "the loss is ", loss.item());
    optimizer->zero_grad();
    loss.backward();
    optimizer->step();
  }
  nn::eval(net);
}

Tensor round_trip_input(const Shape& sample, int64_t batch) {
  Generator random(static_cast<uint64_t>(batch));
  return randn(sample.with_inserted(0, batch), random);
}

}  // namespace convkit::test
