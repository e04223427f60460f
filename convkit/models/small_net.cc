#include "convkit/models/small_net.h"

#include "convkit/ops/shape.h"

namespace convkit::models {
namespace {

template <int Rank>
nn::Sequential stages(const SmallNetOptions& options) {
  CONVKIT_CHECK(!options.widths.empty(), ValueError,
                "SmallNet: widths is empty; name the channels"
                " of at least one stage");
  nn::Sequential features;
  int64_t channels = options.in_channels;
  for (std::size_t stage = 0; stage < options.widths.size(); ++stage) {
    if (stage > 0) features.add(nn::MaxPool<Rank>({.kernel_size = 2}));
    for (int layer = 0; layer < 2; ++layer) {
      features.add(nn::ConvNormAct<Rank>({.in_channels = channels,
                                          .out_channels = options.widths[stage],
                                          .kernel_size = 3,
                                          .padding = 1,
                                          .bias = false}));
      channels = options.widths[stage];
    }
  }
  return features;
}

}  // namespace

template <int Rank>
SmallNet<Rank>::SmallNet(const SmallNetOptions& options)
    : features(stages<Rank>(options)),
      avgpool({.output_size = 1}),
      dropout({.p = options.dropout}),
      fc({.in_features = options.widths.back(), .out_features = options.num_classes}) {}

template <int Rank>
Tensor SmallNet<Rank>::operator()(const Tensor& x) {
  return fc(dropout(ops::flatten(avgpool(features(x)), 1)));
}

template struct SmallNet<1>;
template struct SmallNet<2>;
template struct SmallNet<3>;

}  // namespace convkit::models
