#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "convkit/tensor/tensor.h"

/// The tape. Every differentiable operation computes its output and then calls record(), which
/// remembers how to carry a gradient back to the inputs — if gradients are on and an input asks for
/// one. The same call tells a Tracer, if one listens, what was computed (summary, capture).
namespace convkit::autograd {

/// One gradient per input, in order; undefined where none is needed or none exists.
using Gradients = std::vector<Tensor>;

/// Which inputs need a gradient, by position.
class Needs {
 public:
  static constexpr std::size_t kMostInputs = 64;

  explicit Needs(uint64_t bits) : bits_(bits) {}
  bool operator[](std::size_t input) const { return ((bits_ >> input) & 1U) != 0; }

 private:
  uint64_t bits_;
};

/// Maps the gradient of the output to those of the inputs.
using Backward = std::function<Gradients(const Tensor& grad_output, Needs needs)>;

/// What an operation is called, and its parameters (for the tracer), e.g. {"conv2d", params}.
struct Op {
  Op(const char* op) : name(op) {}  // NOLINT(google-explicit-constructor)
  Op(const char* op, std::any parameters) : name(op), attributes(std::move(parameters)) {}
  const char* name;
  std::any attributes;
};

/// Puts `output = op(inputs)` on the tape and returns it. `backward` may save tensors (see Saved).
CONVKIT_API Tensor record(const Op& op, const std::vector<Tensor>& inputs, Tensor output,
                          Backward backward);

/// Call before changing `self` in place, and record_in_place() after. Throws GradError where the
/// change would falsify a gradient: on a leaf that collects one, or on memory another recorded
/// tensor shares.
CONVKIT_API void check_in_place(const char* op, const Tensor& self);
/// Puts `self ← op(inputs)` on the tape, inputs[0] being `self` as it was before.
CONVKIT_API void record_in_place(const Op& op, const std::vector<Tensor>& inputs, Tensor& self,
                                 Backward backward);

/// A tensor that an operation keeps for its backward. It shares the elements and notices when they
/// were changed in place since. A saved output does not keep its own tape alive.
class CONVKIT_API Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  /// Throws GradError if the elements have been changed since.
  const Tensor& get() const;

 private:
  Tensor tensor_;
  uint32_t version_ = 0;
};

/// False while a NoGradGuard lives on this thread.
CONVKIT_API bool grad_enabled();
/// True when record() of an operation on `inputs` would put it on the tape: tells a forward
/// whether it must keep anything.
CONVKIT_API bool will_record(std::span<const Tensor> inputs);
inline bool will_record(std::initializer_list<Tensor> inputs) {
  return will_record(std::span<const Tensor>(inputs.begin(), inputs.size()));
}

/// Memory for a gradient of the shape of `grad_output`: for a backward that reads each element
/// before it writes it. It is `grad_output` itself where nobody else holds that, else a new tensor.
CONVKIT_API Tensor memory_for_gradient(const Tensor& grad_output);
/// The same of a tensor that the operation kept: it is `saved` itself where nobody else holds that
/// and this backward is the last of its operation (no retain_graph). Read what you need of `saved`
/// before you write.
CONVKIT_API Tensor memory_for_gradient(const Saved& saved);

/// One executed operation, as a Tracer sees it.
struct Event {
  const Op& op;
  const std::string& path;  ///< of the layer it ran in, or empty
  std::span<const Tensor> inputs;
  const Tensor& output;
};

/// Listens to every operation of this thread while it is installed, with or without gradients.
class CONVKIT_API Tracer {
 public:
  virtual ~Tracer() = default;
  virtual void on_operation(const Event& event) = 0;
};

/// True while a Tracer listens on this thread. Who computes several operations in one pass then
/// takes them one by one, so that it sees each of them.
CONVKIT_API bool tracing();

/// Installs a tracer on this thread for its lifetime.
class CONVKIT_API TraceScope {
 public:
  explicit TraceScope(Tracer& tracer);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Tracer* outer_;
};

}  // namespace convkit::autograd

namespace convkit {

/// While it lives, this thread records nothing: faster, and without keeping activations.
class CONVKIT_API NoGradGuard {
 public:
  NoGradGuard();
  ~NoGradGuard();
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool outer_;
};

}  // namespace convkit
