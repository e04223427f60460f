#pragma once

#include <span>
#include <string>

#include "convkit/base/export.h"
#include "convkit/data/dataset.h"
#include "convkit/data/transforms.h"
#include "convkit/io/media/image.h"
#include "convkit/tensor/tensor.h"

/// Between pictures in files and samples for nets.
namespace convkit::data {

/// Fills `sample` with the picture made to fit `shape`, (1 or 3, H, W): alpha dropped, grey made
/// RGB or RGB grey (with_channels), resized if need be (Resize). The label is left alone.
CONVKIT_API void fit_image(const io::media::Image& image, const Shape& shape, Sample& sample);

/// What fit_image does to pictures of these channels and sizes, in words, such as
/// "grey to colour, 28×28 to 32×32"; empty if nothing.
CONVKIT_API std::string conversion_text(std::span<const io::media::ImageInfo> pictures,
                                        const Shape& shape);

/// The picture as a batch of one, (1, C, H, W): made to fit `sample_shape`, the shape of the
/// samples the net was trained on, and sent through `pipeline`, which should hold nothing random.
CONVKIT_API Tensor prepare_image(const io::media::Image& image, const Shape& sample_shape,
                                 const Pipeline& pipeline);

/// A sample of bytes, (1 to 4, H, W), as a picture. Throws ShapeError or DTypeError for others.
CONVKIT_API io::media::Image to_image(const Sample& sample);

}  // namespace convkit::data
