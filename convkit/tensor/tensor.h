#pragma once

#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/tensor/dtype.h"
#include "convkit/tensor/shape.h"

namespace convkit {

namespace autograd {
struct Node;
}
struct TensorImpl;

/// A dense array with a shape, an element type and a place on the tape.
///
/// A Tensor is a handle, as in PyTorch: copies share the elements; clone() makes new ones. The user
/// sees PyTorch's logical order (N, C, H, W) everywhere; in memory the channels are innermost (see
/// layout.h), which only `data()` shows. Handles are not thread-safe to modify; distinct tensors
/// may be used from distinct threads.
class CONVKIT_API Tensor {
 public:
  /// No tensor at all: defined() is false.
  Tensor() = default;
  /// Uninitialised elements; prefer empty(), zeros() and their kin.
  Tensor(const Shape& shape, DType dtype);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t size(int64_t axis) const { return shape()[axis]; }
  int64_t dim() const { return shape().dim(); }
  int64_t numel() const;
  DType dtype() const;

  /// The elements in *memory* order. Throws DTypeError unless T is the element type.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(raw(kDTypeOf<T>));
  }
  template <class T>
  T* mutable_data() {
    return static_cast<T*>(mutable_raw(kDTypeOf<T>));
  }
  const void* raw_data() const;
  void* raw_mutable_data();

  /// The elements in logical row-major order, as PyTorch's contiguous() would list them.
  template <class T>
  std::vector<T> to_vector() const {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements; convert to uint8");
    std::vector<T> values(static_cast<std::size_t>(numel()));
    copy_to(values.data(), kDTypeOf<T>);
    return values;
  }
  /// The element of a one-element tensor, of any type. Throws ShapeError for more.
  double item() const;
  /// One element by its logical index, of any type.
  double at(std::span<const int64_t> index) const;
  double at(std::initializer_list<int64_t> index) const {
    return at(std::span<const int64_t>(index.begin(), index.size()));
  }

  /// New elements, equal to these; not recorded on the tape.
  Tensor clone() const;
  /// New elements of another type (values rounded to nearest; out-of-range integers saturate);
  /// the same tensor when it already has that type. Not recorded.
  Tensor to(DType dtype) const;
  /// The same elements under another shape with as many elements, in logical order. Shares memory
  /// where the layout allows it. Not recorded: see ops::reshape.
  Tensor reshaped(const Shape& shape) const;
  /// The same elements off the tape.
  Tensor detach() const;
  /// Overwrites the elements with those of `source` (same shape; converts the type). Not recorded;
  /// a recorded operation that saved the old elements refuses to run backward.
  void copy_from(const Tensor& source);
  void fill(double value);
  /// Tells the tape that the elements were changed through mutable_data(): a recorded operation
  /// that saved them then refuses to run backward. The other functions here do so themselves.
  void bump_version();

  /// --- automatic differentiation (see autograd/) ---
  /// Whether gradients flow to this tensor: set on a leaf, or inherited from the inputs.
  bool requires_grad() const;
  /// Only leaves and floating types may be asked to collect a gradient; throws GradError.
  Tensor& set_requires_grad(bool value = true);
  /// True when no recorded operation made this tensor.
  bool is_leaf() const;
  /// The sum of the gradients that backward() brought here; undefined before the first.
  const Tensor& grad() const;
  void set_grad(Tensor grad);
  void zero_grad() { set_grad(Tensor()); }
  /// Runs the tape backwards from this scalar (autograd/engine.h has the general form).
  void backward() const;

  TensorImpl* impl() const { return impl_.get(); }
  const std::shared_ptr<TensorImpl>& shared_impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  const void* raw(DType wanted) const;
  void* mutable_raw(DType wanted);
  void copy_to(void* target, DType wanted) const;

  std::shared_ptr<TensorImpl> impl_;
};

/// --- making tensors ---
CONVKIT_API Tensor empty(const Shape& shape, DType dtype = DType::float32);
CONVKIT_API Tensor zeros(const Shape& shape, DType dtype = DType::float32);
CONVKIT_API Tensor ones(const Shape& shape, DType dtype = DType::float32);
CONVKIT_API Tensor full(const Shape& shape, double value, DType dtype = DType::float32);
CONVKIT_API Tensor empty_like(const Tensor& other);
CONVKIT_API Tensor zeros_like(const Tensor& other);
CONVKIT_API Tensor ones_like(const Tensor& other);
/// 0, 1, …, count − 1 along one axis.
CONVKIT_API Tensor arange(int64_t count, DType dtype = DType::float32);
/// Uniform in [0, 1), and standard normal; elements drawn in logical order.
CONVKIT_API Tensor rand(const Shape& shape, Generator& generator = default_generator(),
                        DType dtype = DType::float32);
CONVKIT_API Tensor randn(const Shape& shape, Generator& generator = default_generator(),
                         DType dtype = DType::float32);
/// A copy of `values`, given in logical row-major order. Throws ShapeError when the count differs.
CONVKIT_API Tensor from_raw(const void* values, int64_t count, const Shape& shape, DType dtype);
template <class T>
Tensor from_values(std::span<const T> values, const Shape& shape) {
  return from_raw(values.data(), static_cast<int64_t>(values.size()), shape, kDTypeOf<T>);
}
template <class T>
Tensor from_values(const std::vector<T>& values, const Shape& shape) {
  return from_values(std::span<const T>(values), shape);
}
template <class T>
Tensor from_values(std::initializer_list<T> values, const Shape& shape) {
  return from_values(std::span<const T>(values.begin(), values.size()), shape);
}

/// PyTorch's notation, large tensors abridged; for people.
CONVKIT_API std::string to_text(const Tensor& tensor);

/// sum += addend, elementwise, for two floating tensors of one shape and type.
CONVKIT_API void accumulate(Tensor& sum, const Tensor& addend);

/// True if every element is finite (always, for integers).
CONVKIT_API bool all_finite(const Tensor& tensor);
/// True when shape, type and every bit agree.
CONVKIT_API bool bit_equal(const Tensor& a, const Tensor& b);

}  // namespace convkit
