#pragma once

#include <memory>

#include "convkit/base/memory.h"
#include "convkit/tensor/tensor.h"

/// What stands behind a Tensor; for tensor/ and autograd/ only.
namespace convkit {

/// The memory that handles, views and saved tensors share.
struct Storage {
  explicit Storage(std::size_t bytes) : bytes(bytes), data(allocate(bytes)) {}
  ~Storage() { deallocate(data, bytes); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::size_t bytes;
  void* data;
  /// Raised by every in-place change, so that the tape notices when a saved tensor has changed.
  uint32_t version = 0;
};

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  Shape shape;
  int64_t numel = 0;
  DType dtype = DType::float32;

  bool requires_grad = false;   ///< asked for (leaf) or inherited (has a grad_fn)
  bool shares_storage = false;  ///< made by reshaping another recorded tensor, or has been
  std::shared_ptr<autograd::Node> grad_fn;  ///< the operation that made it, if recorded
  Tensor grad;
};

/// A new handle on the same storage, off the tape.
Tensor alias_of(const Tensor& tensor, const Shape& shape);

}  // namespace convkit
