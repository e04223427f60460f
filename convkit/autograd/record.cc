#include "convkit/autograd/record.h"

#include <atomic>
#include <utility>

#include "convkit/autograd/node.h"
#include "convkit/base/scope.h"
#include "convkit/tensor/tensor_impl.h"

namespace convkit::autograd {
namespace {

thread_local bool gradients_on = true;
thread_local Tracer* listening = nullptr;
thread_local const char* running_backward = "";
thread_local bool running_last = false;
thread_local std::vector<std::shared_ptr<Node>>* releasing = nullptr;

std::atomic<uint64_t> next_sequence{1};

std::shared_ptr<Node> make_node(const Op& op, const std::vector<Tensor>& inputs,
                                Backward backward) {
  CONVKIT_CHECK(inputs.size() <= Needs::kMostInputs, GradError, op.name, ": ", inputs.size(),
                " inputs are more than the ", Needs::kMostInputs,
                " an operation can have; do it in several");
  auto node = std::make_shared<Node>();
  node->op = op.name;
  node->path = Scope::current_path();
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node->edges.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Edge edge;
    if (inputs[i].requires_grad()) {
      node->needs |= uint64_t{1} << i;
      edge.node = inputs[i].impl()->grad_fn;
      if (!edge.node) edge.leaf = inputs[i].shared_impl();
      edge.shape = inputs[i].shape();
    }
    node->edges.push_back(std::move(edge));
  }
  node->backward = std::move(backward);
  return node;
}

void trace(const Op& op, const std::vector<Tensor>& inputs, const Tensor& output) {
  if (listening == nullptr) return;
  Tracer* const tracer = std::exchange(listening, nullptr);  // what it computes is not traced
  tracer->on_operation({op, Scope::current_path(), inputs, output});
  listening = tracer;
}

}  // namespace

bool grad_enabled() { return gradients_on; }

bool will_record(std::span<const Tensor> inputs) {
  if (!gradients_on) return false;
  for (const Tensor& input : inputs)
    if (input.requires_grad()) return true;
  return false;
}

Tensor record(const Op& op, const std::vector<Tensor>& inputs, Tensor output, Backward backward) {
  if (will_record(inputs)) {
    TensorImpl& impl = *output.impl();
    for (const Tensor& input : inputs)
      CONVKIT_CHECK(input.impl() != &impl, GradError, op.name,
                    ": its output is its input; record a new handle, or record_in_place()");
    impl.grad_fn = make_node(op, inputs, std::move(backward));
    impl.requires_grad = true;
    for (const Tensor& input : inputs) {
      if (input.defined() && input.impl()->storage == impl.storage) {
        impl.shares_storage = true;
        input.impl()->shares_storage = true;
      }
    }
  }
  trace(op, inputs, output);
  return output;
}

void check_in_place(const char* op, const Tensor& self) {
  if (!gradients_on || !self.requires_grad()) return;
  CONVKIT_CHECK(!self.is_leaf(), GradError, op, ": a leaf of shape ", self.shape(),
                " that requires a gradient cannot be changed in place while gradients are"
                " recorded; use the out-of-place form, or a NoGradGuard");
  CONVKIT_CHECK(!self.impl()->shares_storage, GradError, op, ": a tensor of shape ", self.shape(),
                " shares its memory with another tensor on the tape, so that changing it in place"
                " would falsify a gradient; use the out-of-place form");
}

void record_in_place(const Op& op, const std::vector<Tensor>& inputs, Tensor& self,
                     Backward backward) {
  TensorImpl& impl = *self.impl();
  ++impl.storage->version;
  if (will_record(inputs)) {
    CONVKIT_CHECK(!impl.shares_storage, GradError, op.name, ": a tensor of shape ", self.shape(),
                  " shares its memory with another tensor on the tape; use the out-of-place form");
    std::shared_ptr<Node> node = make_node(op, inputs, std::move(backward));
    impl.grad_fn = std::move(node);
    impl.requires_grad = true;
  }
  trace(op, inputs, self);
}

Saved::Saved(const Tensor& tensor) {
  if (!tensor.defined()) return;
  tensor_ = alias_of(tensor, tensor.shape());
  version_ = tensor.impl()->storage->version;
}

const Tensor& Saved::get() const {
  if (!tensor_.defined()) return tensor_;
  const uint32_t now = tensor_.impl()->storage->version;
  CONVKIT_CHECK(now == version_, GradError, RunningBackward::op(), ": a tensor of shape ",
                tensor_.shape(),
                " that its gradient needs was changed in place afterwards (version ", now,
                ", saved at version ", version_, "); use the out-of-place form of that change");
  return tensor_;
}

bool is_exclusive(const Tensor& tensor) {
  return tensor.shared_impl().use_count() == 1 && tensor.impl()->storage.use_count() == 1;
}

Tensor memory_for_gradient(const Tensor& grad_output) {
  return is_exclusive(grad_output) ? grad_output : empty_like(grad_output);
}

Tensor memory_for_gradient(const Saved& saved) {
  const Tensor& tensor = saved.get();
  return RunningBackward::is_last() && is_exclusive(tensor) ? tensor : empty_like(tensor);
}

bool tracing() { return listening != nullptr; }

TraceScope::TraceScope(Tracer& tracer) : outer_(std::exchange(listening, &tracer)) {}
TraceScope::~TraceScope() { listening = outer_; }

RunningBackward::RunningBackward(const char* op, bool is_last) {
  running_backward = op;
  running_last = is_last;
}
RunningBackward::~RunningBackward() {
  running_backward = "";
  running_last = false;
}
const char* RunningBackward::op() { return running_backward; }
bool RunningBackward::is_last() { return running_last; }

Node::~Node() {
  std::vector<std::shared_ptr<Node>> worklist;
  const bool outermost = releasing == nullptr;
  if (outermost) releasing = &worklist;
  for (Edge& edge : edges)
    if (edge.node && edge.node.use_count() == 1) releasing->push_back(std::move(edge.node));
  if (!outermost) return;
  while (!worklist.empty()) {
    const std::shared_ptr<Node> next = std::move(worklist.back());
    worklist.pop_back();
  }
  releasing = nullptr;
}

}  // namespace convkit::autograd

namespace convkit {

NoGradGuard::NoGradGuard() : outer_(std::exchange(autograd::gradients_on, false)) {}
NoGradGuard::~NoGradGuard() { autograd::gradients_on = outer_; }

}  // namespace convkit
