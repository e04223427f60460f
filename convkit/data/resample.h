#pragma once

#include <cstdint>

#include "convkit/base/export.h"

namespace convkit::data {

/// Height, width and channels of pixels that stand as (H, W, C).
struct PixelSize {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
};

/// Resizes pixels bilinearly with antialiasing, as PIL's resize(BILINEAR) and torchvision on PIL
/// pictures do, to the same bytes: along each axis, width first, an output pixel is the mean of the
/// input weighted by a triangle around its centre (i + ½) · in / out whose half-width is
/// max(1, in / out) (Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section
/// 3), rounded to 8 bits after each axis. `target` has new_height · new_width · channels bytes.
CONVKIT_API void resample_bilinear(const uint8_t* source, PixelSize size, int64_t new_height,
                                   int64_t new_width, uint8_t* target);

}  // namespace convkit::data
