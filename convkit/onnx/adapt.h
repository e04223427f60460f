#pragma once

#include "convkit/onnx/operators.h"

/// What a row's text cannot say: the functions of the table in operators.cc.
namespace convkit::onnx {

/// auto_pad VALID becomes NOTSET without pads, so that only SAME_UPPER and SAME_LOWER are left.
void valid_pads(NodeImport& import);

/// Until opset 6 `broadcast` allowed, and `axis` placed, the second operand's axes.
void legacy_broadcast(NodeImport& import);
/// Until opset 6 one slope per channel stood in a plain list.
void legacy_slope(NodeImport& import);

/// Until opset 12 the axes from `axis` on were one; the default axis was 1, then −1.
void softmax(NodeImport& import);

void batch_normalization(NodeImport& import);
/// Until opset 20 scale and bias had one value per group.
void group_normalization(NodeImport& import);
/// Dropout does nothing unless input 2 asks for training.
void dropout(NodeImport& import);

/// Element types become convkit's numbers (static_cast of DType).
void cast(NodeImport& import);
void cast_like(NodeImport& import);
void eye_like(NodeImport& import);
void quantization(NodeImport& import);

/// The value of a Constant becomes a constant of the graph.
void constant(NodeImport& import);
void constant_of_shape(NodeImport& import);

/// Until opset 10 Resize had other inputs and one rule for coordinates; Upsample became Resize.
void resize(NodeImport& import);
void upsample(NodeImport& import);
/// bilinear and bicubic became linear and cubic.
void grid_sample(NodeImport& import);

void split(NodeImport& import);
/// Scatter became ScatterElements.
void scatter(NodeImport& import);

}  // namespace convkit::onnx
