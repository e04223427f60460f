#include "convkit/tensor/tensor.h"

#include <cmath>
#include <cstring>

#include "convkit/base/checked.h"
#include "convkit/base/thread_pool.h"
#include "convkit/tensor/convert.h"
#include "convkit/tensor/layout.h"
#include "convkit/tensor/tensor_impl.h"

namespace convkit {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

const TensorImpl& need(const std::shared_ptr<TensorImpl>& impl) {
  CONVKIT_CHECK(impl != nullptr, ValueError,
                "this tensor is undefined: it was default-constructed and never assigned");
  return *impl;
}

std::size_t byte_count(const TensorImpl& impl) {
  return static_cast<std::size_t>(impl.numel) * item_size(impl.dtype);
}

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype) : impl_(std::make_shared<TensorImpl>()) {
  impl_->shape = shape;
  impl_->numel = shape.numel();
  impl_->dtype = dtype;
  const int64_t bytes =
      checked_mul(impl_->numel, static_cast<int64_t>(item_size(dtype)), "bytes of a tensor");
  impl_->storage = std::make_shared<Storage>(static_cast<std::size_t>(bytes));
}

const Shape& Tensor::shape() const { return need(impl_).shape; }
int64_t Tensor::numel() const { return need(impl_).numel; }
DType Tensor::dtype() const { return need(impl_).dtype; }
const void* Tensor::raw_data() const { return need(impl_).storage->data(); }
void* Tensor::raw_mutable_data() { return need(impl_).storage->data(); }

const void* Tensor::raw(DType wanted) const {
  CONVKIT_CHECK(dtype() == wanted, DTypeError, "a tensor of ", dtype(), " was read as ", wanted,
                "; convert it with to(DType::", wanted, ")");
  return impl_->storage->data();
}

void* Tensor::mutable_raw(DType wanted) { return const_cast<void*>(raw(wanted)); }

void Tensor::copy_to(void* target, DType wanted) const {
  const void* source = raw(wanted);
  memory_to_row_major(impl_->shape, item_size(wanted), source, target);
}

double Tensor::item() const {
  CONVKIT_CHECK(numel() == 1, ShapeError, "item() reads a tensor of one element; this one is ",
                shape(), " with ", numel());
  return element_as_double(dtype(), raw_data(), 0);
}

double Tensor::at(std::span<const int64_t> index) const {
  CONVKIT_CHECK(static_cast<int64_t>(index.size()) == dim(), ShapeError, "at", to_text(index),
                " has ", index.size(), " indices, but the tensor is ", shape());
  const std::vector<int64_t> strides = memory_strides(shape());
  int64_t offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) {
    const int64_t extent = shape()[static_cast<int64_t>(i)];
    CONVKIT_CHECK(index[i] >= 0 && index[i] < extent, ShapeError, "at", to_text(index), ": index ",
                  index[i], " is outside axis ", i, " of ", shape());
    offset += index[i] * strides[i];
  }
  return element_as_double(dtype(), raw_data(), offset);
}

Tensor Tensor::clone() const {
  Tensor copy(shape(), dtype());
  std::memcpy(copy.raw_mutable_data(), raw_data(), byte_count(*impl_));
  return copy;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == this->dtype()) return *this;
  Tensor converted(shape(), dtype);
  convert_elements(this->dtype(), raw_data(), dtype, converted.raw_mutable_data(), numel());
  return converted;
}

Tensor alias_of(const Tensor& tensor, const Shape& shape) {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = tensor.impl()->storage;
  impl->shape = shape;
  impl->numel = tensor.numel();
  impl->dtype = tensor.dtype();
  return Tensor(std::move(impl));
}

Tensor Tensor::reshaped(const Shape& shape) const {
  CONVKIT_CHECK(shape.numel() == numel(), ShapeError, "reshape: ", this->shape(), " has ", numel(),
                " elements and cannot become ", shape, " with ", shape.numel());
  if (reshapes_in_place(this->shape(), shape)) return alias_of(*this, shape);
  Tensor result(shape, dtype());
  reshape_memory(this->shape(), shape, item_size(dtype()), raw_data(), result.raw_mutable_data());
  return result;
}

Tensor Tensor::detach() const { return alias_of(*this, shape()); }

void Tensor::copy_from(const Tensor& source) {
  CONVKIT_CHECK(source.shape() == shape(), ShapeError, "copy_from: shapes differ: ", shape(), " ← ",
                source.shape());
  convert_elements(source.dtype(), source.raw_data(), dtype(), raw_mutable_data(), numel());
  ++impl_->storage->version;
}

void Tensor::fill(double value) {
  Tensor& self = *this;
  visit_dtype(dtype(), [&]<class T>() {
    T* data = self.mutable_data<T>();
    const T converted = element_from_double<T>(value);
    parallel_ranges(self.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      std::fill(data + begin, data + end, converted);
    });
  });
  ++impl_->storage->version;
}

void Tensor::bump_version() {
  need(impl_);
  ++impl_->storage->version;
}

bool Tensor::requires_grad() const { return defined() && impl_->requires_grad; }
bool Tensor::is_leaf() const { return need(impl_).grad_fn == nullptr; }
const Tensor& Tensor::grad() const { return need(impl_).grad; }

Tensor& Tensor::set_requires_grad(bool value) {
  const TensorImpl& impl = need(impl_);
  CONVKIT_CHECK(!value || impl.dtype == DType::float32 || impl.dtype == DType::float64, GradError,
                "only float32 and float64 tensors can require gradients, not ", impl.dtype);
  CONVKIT_CHECK(impl.grad_fn == nullptr, GradError,
                "requires_grad can only be set on a leaf; this tensor was computed: detach() it");
  impl_->requires_grad = value;
  return *this;
}

void Tensor::set_grad(Tensor grad) {
  const TensorImpl& impl = need(impl_);
  if (grad.defined()) {
    CONVKIT_CHECK(grad.shape() == impl.shape, ShapeError, "the gradient of a ", impl.shape,
                  " tensor cannot be ", grad.shape());
    CONVKIT_CHECK(grad.dtype() == impl.dtype, DTypeError, "the gradient of a ", impl.dtype,
                  " tensor cannot be ", grad.dtype());
  }
  impl_->grad = std::move(grad);
}

void accumulate(Tensor& sum, const Tensor& addend) {
  CONVKIT_CHECK(sum.shape() == addend.shape() && sum.dtype() == addend.dtype(), ShapeError,
                "accumulate: ", sum.shape(), " ", sum.dtype(), " and ", addend.shape(), " ",
                addend.dtype(), " differ");
  const auto run = [&]<class T>(T) {
    T* into = sum.mutable_data<T>();
    const T* from = addend.data<T>();
    parallel_ranges(sum.numel(), kElementsPerTask, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) into[i] += from[i];
    });
  };
  if (sum.dtype() == DType::float64) {
    run(double{});
  } else {
    run(float{});
  }
}

bool all_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return true;
  const int64_t tasks = (tensor.numel() + kElementsPerTask - 1) / kElementsPerTask;
  std::vector<uint8_t> finite(static_cast<std::size_t>(tasks), 1);
  const auto check = [&]<class T>(const T* data) {
    parallel_for(tasks, [&](int64_t task) {
      const int64_t begin = task * kElementsPerTask;
      const int64_t end = std::min(tensor.numel(), begin + kElementsPerTask);
      bool all = true;
      for (int64_t i = begin; i < end; ++i) all = all && std::isfinite(to_double(data[i]));
      finite[static_cast<std::size_t>(task)] = all ? 1 : 0;
    });
  };
  visit_dtype(tensor.dtype(), [&]<class T>() { check(tensor.data<T>()); });
  return std::find(finite.begin(), finite.end(), 0) == finite.end();
}

bool bit_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw_data(), b.raw_data(), byte_count(*a.impl())) == 0;
}

}  // namespace convkit
