#include "convkit/kernels/conv.h"

#include "convkit/kernels/conv_planner.h"
#include "convkit/kernels/conv_reference.h"
#include "convkit/kernels/reduce_columns.h"

namespace convkit::kernels {
void conv_forward(const ConvGeometry& geometry, const float* x, const float* w, const float* bias,
                  float* y) {
  conv_forward(geometry, x, w, ConvEpilogue{.bias = bias}, y);
}

void conv_forward(const ConvGeometry& geometry, const float* x, const float* w,
                  const ConvEpilogue& epilogue, float* y) {
  validate(geometry);
  planned_program(geometry, Direction::forward)->pack_and_run(x, w, epilogue, y);
}

void conv_forward(const ConvGeometry& geometry, const double* x, const double* w,
                  const double* bias, double* y) {
  validate(geometry);
  reference_forward(geometry, x, w, bias, y);
}

void conv_backward_input(const ConvGeometry& geometry, const float* dy, const float* w, float* dx) {
  validate(geometry);
  planned_program(geometry, Direction::backward_input)->pack_and_run(dy, w, {}, dx);
}

void conv_backward_input(const ConvGeometry& geometry, const double* dy, const double* w,
                         double* dx) {
  validate(geometry);
  reference_backward_input(geometry, dy, w, dx);
}

void conv_backward_weight(const ConvGeometry& geometry, const float* x, const float* dy,
                          float* dw) {
  validate(geometry);
  planned_program(geometry, Direction::backward_weight)->pack_and_run(x, dy, {}, dw);
}

void conv_backward_weight(const ConvGeometry& geometry, const double* x, const double* dy,
                          double* dw) {
  validate(geometry);
  reference_backward_weight(geometry, x, dy, dw);
}

void channel_sums(const float* x, int64_t rows, int64_t channels, float* sums) {
  column_sums(x, rows, channels, sums);
}

void channel_sums(const double* x, int64_t rows, int64_t channels, double* sums) {
  column_sums(x, rows, channels, sums);
}

}  // namespace convkit::kernels
