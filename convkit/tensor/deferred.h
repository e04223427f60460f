#pragma once

#include <cstdint>
#include <memory>

#include "convkit/tensor/tensor.h"

/// Tensors whose elements are fetched when somebody first reads them, such as the weights of a net
/// that stay in its file until they are packed.
namespace convkit {

/// Where a tensor's elements come from.
class TensorSource {
 public:
  TensorSource() = default;
  virtual ~TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;

  /// Writes the elements of rows [first, first + count) along axis 0, in the memory order of
  /// layout.h, to `target`, which is aligned for them. Throws what reading throws. Several threads
  /// may read at once.
  virtual void read_rows(int64_t first, int64_t count, void* target) const = 0;
  /// Whether it keeps all elements in memory meanwhile (replace_source).
  virtual bool holds_memory() const { return false; }
};

/// A tensor of at least one axis whose elements come from `source`: all of them at the first access
/// to any, which may throw what the source throws. Handles on it, and those made by reshaping,
/// share what was fetched.
CONVKIT_API Tensor deferred(const Shape& shape, DType dtype,
                            std::shared_ptr<const TensorSource> source);

/// The source of a tensor whose elements nobody has fetched yet, for those who need them only once
/// or in parts; null for any other tensor, or one reshaped along axis 0. Does not fetch.
CONVKIT_API std::shared_ptr<const TensorSource> source_of(const Tensor& tensor);

/// Takes the elements of a tensor from another source from now on, which must give the same bits;
/// what the old one holds is freed. Nothing happens to a tensor that source_of gives null for.
CONVKIT_API void replace_source(const Tensor& tensor, std::shared_ptr<const TensorSource> source);

}  // namespace convkit
