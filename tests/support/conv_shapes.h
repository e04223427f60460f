#pragma once

#include <algorithm>
#include <cstdint>

#include "convkit/kernels/conv_geometry.h"

/// Convolution shapes that stand for all others: tests check every algorithm on them (in a smaller
/// size), benchmarks time them, peers run them too. bench/layers.h has the whole nets.
namespace convkit::test {

struct ConvShape {
  const char* problem;  ///< see kernels::parse_problem
  const char* what;
};

inline constexpr ConvShape kConvShapes[] = {
    {"mb1ic64ih56oc64oh56kh3ph1", "ResNet stage 1"},
    {"mb1ic256ih14oc256oh14kh3ph1", "ResNet stage 3"},
    {"mb1ic1024ih14oc256oh14kh1ph0", "pointwise, many channels"},
    {"mb16ic64ih16oc64oh16kh3ph1", "ResNet-18 at 64x64, stage 1"},
    {"mb16ic64ih16oc128oh8kh3sh2ph1", "ResNet-18 at 64x64, strided"},
    {"mb16ic64ih16oc128oh8kh1sh2ph0", "ResNet-18 at 64x64, downsample"},
    {"mb16ic128ih8oc128oh8kh3ph1", "ResNet-18 at 64x64, stage 2"},
    {"mb16ic256ih4oc256oh4kh3ph1", "ResNet-18 at 64x64, stage 3"},
    {"mb16ic512ih2oc512oh2kh3ph1", "ResNet-18 at 64x64, stage 4"},
    {"mb16ic3ih64oc64oh32kh7sh2ph3", "ResNet-18 at 64x64, stem"},
    {"mb128ic1ih28oc16oh28kh3ph1", "28x28 pictures, one channel"},
    {"mb128ic16ih28oc32oh28kh3ph1", "28x28 maps, few channels"},
    {"mb128ic32ih28oc64oh14kh3sh2ph1", "28x28 maps, strided"},
    {"mb128ic64ih14oc64oh14kh3ph1", "14x14 maps"},
    {"mb128ic128ih7oc128oh7kh3ph1", "7x7 maps"},
    {"mb1ic64ih56oc64oh56kh3ph2dh1", "dilated"},
    {"mb1ic64id16ih56iw56oc64od16oh56ow56kd3kh3kw3pd1ph1pw1", "3-D"},
    {"mb16ic64iw1000oc64ow1000kw3pw1", "1-D"},
    {"g4mb1ic64ih56oc64oh56kh3ph1", "grouped"},
    {"mb1ic3ih224oc64oh112kh7sh2ph3", "first layer"},
    {"mb1ic3id16ih112iw112oc64od16oh56ow56kd3kh7kw7sd1sh2sw2pd1ph3pw3", "first layer, video"},
    {"g256mb8ic256iw1000oc256ow1000kw7pw3", "depthwise 1-D"},
    {"g64mb1ic64id16ih28iw28oc64od16oh28ow28kd3kh3kw3pd1ph1pw1", "depthwise 3-D"},
    {"g64mb1ic64ih56oc64oh56kh3ph2dh1", "depthwise, dilated"},
    {"g384mb1ic384ih28oc384oh28kh7ph3", "depthwise 7x7"},
    {"g32mb1ic32ih112oc32oh112kh3ph1", "depthwise 3x3"},
    {"g8mb8ic32ih32oc32oh32kh3ph1", "4 channels a group"},
    {"mb16ic1iw16000oc64ow4000kw79sw4pw39", "raw audio, first layer"},
    {"mb1ic16iw16000oc16ow16000kw257pw128", "long 1-D"},
    {"mb1ic8iw160000oc8ow157953kw2048pw0", "very long 1-D"},
    {"mb1ic1iw160000oc1ow159937kw64pw0", "FIR filter"},
    {"mb1ic16ih128oc16oh128kh31ph15", "31x31 kernel"},
    {"mb1ic32id32ih32iw32oc32od32oh32ow32kd3kh3kw3pd2ph2pw2dd1dh1dw1", "dilated 3-D"},
    {"mb8ic10ih64oc17oh64kh3ph1", "odd channels"},
    {"mb8ic1ih64oc8oh64kh3ph1", "1 channel in"},
    {"mb8ic64ih64oc3oh64kh3ph1", "3 channels out"},
};

/// `geometry` with batch, then sizes, then channels halved until `most_macs` multiply-adds are
/// enough: what the naive reference can do in a test. Kernel, stride, dilation and pads stay.
inline kernels::ConvGeometry shrunk(kernels::ConvGeometry geometry, int64_t most_macs) {
  while (kernels::macs(geometry) > most_macs) {
    int axis = 0;
    for (int i = 1; i < kernels::kAxes; ++i)
      if (geometry.out[i] >= geometry.out[axis]) axis = i;
    if (geometry.batch > 2) {
      geometry.batch = (geometry.batch + 1) / 2;
    } else if (geometry.out[axis] > 5) {
      const int64_t fewer = geometry.out[axis] / 2;
      geometry.in[axis] -= (geometry.out[axis] - fewer) * geometry.stride[axis];
    } else if (geometry.groups > 1) {
      geometry.in_channels = geometry.group_in() * ((geometry.groups + 1) / 2);
      geometry.out_channels = geometry.group_out() * ((geometry.groups + 1) / 2);
      geometry.groups = (geometry.groups + 1) / 2;
    } else {
      geometry.in_channels = (geometry.in_channels + 1) / 2;
      geometry.out_channels = (geometry.out_channels + 1) / 2;
    }
    geometry = kernels::with_output_size(geometry);
  }
  kernels::validate(geometry);
  return geometry;
}

}  // namespace convkit::test
