#pragma once

#include <cstdint>

#include "convkit/base/checked.h"
#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/winograd_axes.h"
#include "convkit/kernels/winograd_transform.h"

/// Where the tiles of Winograd's convolution lie. Internal to kernels/.
namespace convkit::kernels {

/// The tiles of one depth of the outputs, over a batch, in the order of memory.
class WinogradTiles {
 public:
  /// The first output of a tile.
  struct Place {
    int64_t n;
    int64_t h;
    int64_t w;
  };

  WinogradTiles() = default;
  WinogradTiles(const WinogradTile& tile, int64_t batch, const Extents& out)
      : tile_(tile),
        along_h_(ceil_div(out[1], tile.out_h)),
        along_w_(ceil_div(out[2], tile.out_w)),
        count_(batch * along_h_ * along_w_) {}

  int64_t count() const { return count_; }
  Place place(int64_t tile) const {
    return {tile / along_w_ / along_h_, tile / along_w_ % along_h_ * tile_.out_h,
            tile % along_w_ * tile_.out_w};
  }

 private:
  WinogradTile tile_ = {};
  int64_t along_h_ = 1;
  int64_t along_w_ = 1;
  int64_t count_ = 0;
};

inline constexpr int kMostTilePixels = 36;

/// `step` floats or a few more: streams a multiple of 4 KiB apart would share sets of the caches.
inline int64_t kept_apart(int64_t step) { return step % 1024 < 48 ? step + 48 : step; }

/// A tensor [n][D][pixels][channels], its pixels `steps` apart, and zeros of as many channels for
/// what lies outside.
struct WinogradPicture {
  const float* data;
  const Extents& size;
  WinogradSteps steps;
  int64_t channels;
  const float* zeros;

  /// pixels[i·columns + j]: the pixel (h + i, w + j) of picture n at `depth`.
  void gather(const WinogradTiles::Place& first, int64_t depth, int rows, int columns,
              const float** pixels) const {
    const float* const plane = data + (first.n * size[0] + depth) * size[1] * size[2] * channels;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int64_t h = first.h + i;
        const int64_t w = first.w + j;
        const bool inside = h >= 0 && h < size[1] && w >= 0 && w < size[2];
        *pixels++ = inside ? plane + (h * steps.h + w * steps.w) * channels : zeros;
      }
  }
};

}  // namespace convkit::kernels
