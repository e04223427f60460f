#include "convkit/tensor/deferred.h"

#include <utility>

#include "convkit/base/checked.h"
#include "convkit/tensor/tensor_impl.h"

namespace convkit {

// Reads without the lock: a source may use the thread pool, whose tasks may want this tensor too.
// Of several threads that come first, one gives the memory that counts.
void* Storage::fetch() {
  std::shared_ptr<const TensorSource> from;
  {
    const std::lock_guard lock(source_->mutex);
    from = source_->source;
  }
  if (from == nullptr) return data_.load(std::memory_order_acquire);
  void* fetched = allocate(bytes, Pages::ordinary);
  try {
    from->read_rows(0, source_->rows, fetched);
  } catch (...) {
    deallocate(fetched, bytes);
    throw;
  }
  const std::lock_guard lock(source_->mutex);
  if (void* known = data_.load(std::memory_order_relaxed)) {
    deallocate(fetched, bytes);
    return known;
  }
  data_.store(fetched, std::memory_order_release);
  source_->source = nullptr;
  return fetched;
}

std::shared_ptr<const TensorSource> Storage::source(int64_t rows) const {
  if (source_ == nullptr) return nullptr;
  const std::lock_guard lock(source_->mutex);
  return source_->rows == rows ? source_->source : nullptr;
}

void Storage::replace_source(int64_t rows, std::shared_ptr<const TensorSource> source) {
  if (source_ == nullptr) return;
  // The old one goes after the lock: it may own the last handle on another such tensor.
  const std::lock_guard lock(source_->mutex);
  if (source_->rows == rows && source_->source != nullptr) source_->source.swap(source);
}

Tensor deferred(const Shape& shape, DType dtype, std::shared_ptr<const TensorSource> source) {
  CONVKIT_CHECK(shape.dim() >= 1 && source != nullptr, ValueError, "a tensor of shape ", shape,
                " cannot be read in rows");
  auto impl = std::make_shared<TensorImpl>();
  impl->shape = shape;
  impl->numel = shape.numel();
  impl->dtype = dtype;
  const int64_t bytes =
      checked_mul(impl->numel, static_cast<int64_t>(item_size(dtype)), "bytes of a tensor");
  impl->storage =
      std::make_shared<Storage>(static_cast<std::size_t>(bytes), shape[0], std::move(source));
  return Tensor(std::move(impl));
}

std::shared_ptr<const TensorSource> source_of(const Tensor& tensor) {
  if (!tensor.defined() || tensor.dim() < 1) return nullptr;
  return tensor.impl()->storage->source(tensor.size(0));
}

void replace_source(const Tensor& tensor, std::shared_ptr<const TensorSource> source) {
  if (tensor.defined() && tensor.dim() >= 1)
    tensor.impl()->storage->replace_source(tensor.size(0), std::move(source));
}

}  // namespace convkit
