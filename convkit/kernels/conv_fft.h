#pragma once

#include <memory>
#include <string>

#include "convkit/kernels/conv_geometry.h"
#include "convkit/kernels/conv_program.h"

/// Convolution through Fourier transforms, for kernels of hundreds of taps: row "fft" of
/// conv_algorithm.h. Internal to kernels/.
namespace convkit::kernels {

struct FftCut;

std::string fft_why_not(const ConvGeometry& geometry, Direction direction);
std::unique_ptr<ConvProgram> prepare_fft(const ConvGeometry& geometry, Direction direction);
/// The same with tiles of one's own choice.
std::unique_ptr<ConvProgram> prepare_fft(const ConvGeometry& geometry, Direction direction,
                                         const FftCut& cut);
std::unique_ptr<ConvProgram> prepare_fft_weight(const ConvGeometry& geometry, const FftCut& cut);

}  // namespace convkit::kernels
