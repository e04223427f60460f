#include "convkit/kernels/conv_program.h"

#include "convkit/base/memory.h"

namespace convkit::kernels {

ConvWork& ConvWork::operator+=(const ConvWork& other) {
  products += other.products;
  calls += other.calls;
  transforms += other.transforms;
  weights += other.weights;
  tensors += other.tensors;
  packing += other.packing;
  return *this;
}

void ConvProgram::pack(const float*, float*) const {}

bool ConvProgram::pack_rows(const ReadWeightRows&, float*) const { return false; }

bool ConvProgram::unpack_rows(const float*, int64_t, int64_t, float*) const { return false; }

void ConvProgram::run_pooled(const float*, const float*, const ConvEpilogue&, float*) const {}

void ConvProgram::pack_and_run(const float* first, const float* second,
                               const ConvEpilogue& epilogue, float* out) const {
  if (packed_floats() == 0) return run(first, second, epilogue, out);
  Buffer<float> packed(static_cast<std::size_t>(packed_floats()));
  pack(second, packed.data());
  run(first, packed.data(), epilogue, out);
}

}  // namespace convkit::kernels
