#include "convkit/graph/trace.h"

#include <map>
#include <memory>

#include "convkit/autograd/record.h"

namespace convkit::graph {
namespace {

class Recorder final : public autograd::Tracer {
 public:
  explicit Recorder(const Tensor& input) { define(input); }

  void on_operation(const autograd::Event& event) override {
    TracedStep step{.op = event.op.name,
                    .parameters = event.op.attributes,
                    .path = event.path,
                    .inputs = {},
                    .output = Trace::kUndefined};
    bool in_place = false;
    for (const Tensor& input : event.inputs) {
      step.inputs.push_back(find(input));
      in_place = in_place || (input.defined() && input.impl() == event.output.impl());
    }
    if (in_place) forget_sharers(event.output);
    step.output = define(event.output);
    trace.steps.push_back(std::move(step));
  }

  // The value a tensor stands for; a constant if no operation made it.
  int find(const Tensor& tensor) {
    if (!tensor.defined()) return Trace::kUndefined;
    if (const auto known = ids_.find(tensor.shared_impl()); known != ids_.end())
      return known->second;
    // detach() gives another handle on the same elements.
    for (const auto& [handle, id] : ids_) {
      const std::shared_ptr<TensorImpl> alive = handle.lock();
      if (!alive || id < 0) continue;
      const Tensor other(alive);
      if (other.raw_data() == tensor.raw_data() && other.shape() == tensor.shape() &&
          other.dtype() == tensor.dtype())
        return id;
    }
    const int id = define(tensor);
    trace.values.back().constant = tensor;
    return id;
  }

  Trace trace;

 private:
  int define(const Tensor& tensor) {
    const auto id = static_cast<int>(trace.values.size());
    trace.values.push_back({.shape = tensor.shape(), .dtype = tensor.dtype()});
    ids_[tensor.shared_impl()] = id;
    return id;
  }

  // Whoever shares memory that has been overwritten holds what no operation computed.
  void forget_sharers(const Tensor& overwritten) {
    for (auto& [handle, id] : ids_) {
      const std::shared_ptr<TensorImpl> alive = handle.lock();
      if (alive && alive != overwritten.shared_impl() &&
          Tensor(alive).raw_data() == overwritten.raw_data() && overwritten.numel() > 0)
        id = Trace::kStale;
    }
  }

  // By what owns the handle, so that the address of one that is gone means nothing.
  std::map<std::weak_ptr<TensorImpl>, int, std::owner_less<std::weak_ptr<TensorImpl>>> ids_;
};

}  // namespace

Trace trace(nn::AnyModule& net, const Tensor& x) {
  const NoGradGuard no_grad;
  Recorder recorder(x);
  Tensor y;
  {
    const autograd::TraceScope scope(recorder);
    y = net(x);
  }
  CONVKIT_CHECK(y.defined(), ValueError, "the net's output is undefined");
  recorder.trace.result = recorder.find(y);
  return std::move(recorder.trace);
}

}  // namespace convkit::graph
