#pragma once

#include "convkit/autograd/record.h"
#include "convkit/kernels/elementwise.h"
#include "convkit/tensor/tensor.h"

/// For the sources of ops only: an elementwise function of the kernels' table as a recorded op.
namespace convkit::ops {

/// y = f(x), recorded as `op`. Throws DTypeError, which names the op, for integers.
Tensor unary(const autograd::Op& op, kernels::UnaryOp function, const kernels::UnaryParams& params,
             const Tensor& x);
/// x ← f(x), recorded; for functions whose gradient needs the output only.
void unary_(const autograd::Op& op, kernels::UnaryOp function, const kernels::UnaryParams& params,
            Tensor& x);

}  // namespace convkit::ops
