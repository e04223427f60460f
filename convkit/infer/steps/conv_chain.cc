#include "convkit/kernels/conv_chain.h"

#include <algorithm>
#include <array>
#include <utility>

#include "convkit/infer/steps/step.h"

namespace convkit::infer {
namespace {

constexpr double kFlopPerMac = 2;
constexpr std::size_t kResidual = 3;  // of a FusedConv's inputs

std::vector<kernels::ConvGeometry> geometries(std::span<const ConvLayer> layers) {
  std::vector<kernels::ConvGeometry> all;
  for (const ConvLayer& layer : layers) all.push_back(layer.geometry);
  return all;
}

class ConvChainStep final : public Step {
 public:
  explicit ConvChainStep(std::vector<ConvLayer> layers)
      : layers_(std::move(layers)), chain_(geometries(layers_)) {}

  void prepare() override {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Buffer<float> packed(static_cast<std::size_t>(chain_.packed_floats(i)), Pages::ordinary);
      // Gaps between what is packed are part of what is compared.
      std::fill_n(packed.data(), packed.size(), 0.0F);
      chain_.pack(i, layers_[i].weight.data<float>(), packed.data());
      packed_.push_back(share(std::move(packed)));
    }
  }

  void run(std::span<const float* const> inputs, float* output) const override {
    std::array<kernels::ChainLayer, kMostLayers> operands;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const ConvLayer& layer = layers_[i];
      operands[i] = {.packed = packed_[i]->data(),
                     .epilogue = layer.epilogue(layer.adds ? inputs[kResidual] : nullptr)};
    }
    chain_.run(inputs[0], std::span(operands).first(layers_.size()), output);
  }

  Algorithm algorithm() const override {
    double macs = 0;
    for (const ConvLayer& layer : layers_)
      macs += static_cast<double>(kernels::macs(layer.geometry));
    return {"chain", chain_.reason(), kFlopPerMac * macs};
  }
  int64_t weight_bytes() const override {
    std::size_t floats = 0;
    for (const SharedFloats& packed : packed_) floats += packed->size();
    return static_cast<int64_t>(floats * sizeof(float));
  }

 private:
  static constexpr std::size_t kMostLayers = 3;

  std::vector<ConvLayer> layers_;
  kernels::ConvChain chain_;
  std::vector<SharedFloats> packed_;
};

}  // namespace

std::optional<Native> make_conv_chain(std::span<const ConvLayer* const> layers,
                                      const Shape& output) {
  std::vector<ConvLayer> all;
  for (const ConvLayer* layer : layers) all.push_back(*layer);
  if (!kernels::ConvChain::why_not(geometries(all)).empty()) return std::nullopt;
  const bool adds = all.back().adds;
  return Native{std::make_unique<ConvChainStep>(std::move(all)), output,
                adds ? static_cast<int>(kResidual) : -1};
}

}  // namespace convkit::infer
