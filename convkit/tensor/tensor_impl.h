#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/tensor/deferred.h"
#include "convkit/tensor/tensor.h"

/// What stands behind a Tensor; for tensor/ and autograd/ only.
namespace convkit {

/// The memory that handles, views and saved tensors share.
struct Storage {
  explicit Storage(std::size_t bytes) : bytes(bytes), data_(allocate(bytes)) {}
  /// Memory that is filled at the first access (deferred.h).
  Storage(std::size_t bytes, int64_t rows, std::shared_ptr<const TensorSource> source)
      : bytes(bytes), source_(std::make_unique<Source>()) {
    source_->rows = rows;
    source_->source = std::move(source);
  }
  ~Storage() {
    if (void* known = data_.load(std::memory_order_relaxed)) deallocate(known, bytes);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() {
    void* known = data_.load(std::memory_order_acquire);
    return known != nullptr ? known : fetch();
  }
  /// What will fill it, if that is still to be done and has so many rows.
  std::shared_ptr<const TensorSource> source(int64_t rows) const;
  /// Puts another in its place, if there is one of so many rows.
  void replace_source(int64_t rows, std::shared_ptr<const TensorSource> source);

  std::size_t bytes;
  /// Raised by every in-place change, so that the tape notices when a saved tensor has changed.
  uint32_t version = 0;

 private:
  struct Source {
    std::mutex mutex;
    int64_t rows = 0;
    std::shared_ptr<const TensorSource> source;
  };
  void* fetch();

  std::atomic<void*> data_ = nullptr;
  std::unique_ptr<Source> source_;
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
