#include "convkit/autograd/engine.h"

#include <queue>
#include <unordered_map>

#include "convkit/autograd/node.h"
#include "convkit/base/scope.h"
#include "convkit/base/thread_pool.h"
#include "convkit/tensor/tensor_impl.h"

namespace convkit::autograd {
namespace {

// sum ← sum + grad, in place only where nobody else can see it.
void add_gradient(Tensor& sum, Tensor grad) {
  if (!sum.defined()) {
    sum = std::move(grad);
    return;
  }
  if (!is_exclusive(sum)) {
    if (is_exclusive(grad)) {
      std::swap(sum, grad);  // addition commutes to the bit
    } else {
      sum = sum.clone();
    }
  }
  accumulate(sum, grad);
}

// A gradient may be shared with a neighbour (both inputs of an addition receive the same one), but
// a leaf's gradient is the user's to change.
void add_to_leaf(TensorImpl& leaf, Tensor grad) {
  if (!leaf.grad.defined() && !is_exclusive(grad)) grad = grad.clone();
  add_gradient(leaf.grad, std::move(grad));
}

struct Pending {
  std::shared_ptr<Node> node;
  Tensor grad;
};

class Engine {
 public:
  explicit Engine(const BackwardOptions& options) : options_(options) {}

  void send(const Edge& edge, Tensor grad) {
    if (edge.leaf) return add_to_leaf(*edge.leaf, std::move(grad));
    if (!edge.node) return;
    const auto [found, inserted] = pending_.try_emplace(edge.node.get(), Pending{edge.node, {}});
    if (inserted) order_.push(edge.node.get());
    add_gradient(found->second.grad, std::move(grad));
  }

  void run() {
    while (!order_.empty()) {
      Node* const next = order_.top();
      order_.pop();
      const auto found = pending_.find(next);
      Pending work = std::move(found->second);
      pending_.erase(found);
      step(*work.node, std::move(work.grad));
    }
  }

 private:
  void step(Node& node, Tensor grad) {
    const Scope scope(node.path);
    const RunningBackward running(node.op, !options_.retain_graph);
    CONVKIT_CHECK(!node.released, GradError, node.op,
                  ": backward ran over this part of the tape before and let go of what it kept;"
                  " run the forward again, or pass retain_graph the first time");
    Gradients grads = node.backward(grad, Needs(node.needs));
    grad = Tensor();  // a gradient that took its memory is now the only holder
    CONVKIT_CHECK(grads.size() <= node.edges.size(), GradError, node.op, ": its backward gave ",
                  grads.size(), " gradients for ", node.edges.size(), " inputs");
    if (!options_.retain_graph) {
      node.released = true;
      node.backward = nullptr;
    }
    for (std::size_t i = 0; i < grads.size(); ++i) {
      if (!Needs(node.needs)[i] || !grads[i].defined()) continue;
      CONVKIT_CHECK(grads[i].shape() == node.edges[i].shape, GradError, node.op,
                    ": the gradient of input ", i, " is ", grads[i].shape(), ", the input was ",
                    node.edges[i].shape);
      send(node.edges[i], std::move(grads[i]));
    }
    if (node.released) node.edges.clear();
  }

  struct Later {
    bool operator()(const Node* a, const Node* b) const { return a->sequence < b->sequence; }
  };

  BackwardOptions options_;
  std::unordered_map<Node*, Pending> pending_;
  // Sequence numbers grow along every edge: taking the largest first means that every consumer of
  // a tensor has sent its part before the tensor's own operation runs.
  std::priority_queue<Node*, std::vector<Node*>, Later> order_;
};

}  // namespace

void backward(const Tensor& output, const Tensor& grad_output, const BackwardOptions& options) {
  CONVKIT_CHECK(output.requires_grad(), GradError,
                "backward: this tensor was not recorded; no input required a gradient, or a"
                " NoGradGuard was alive");
  Tensor seed = grad_output;
  if (!seed.defined()) {
    CONVKIT_CHECK(output.numel() == 1, GradError, "backward: the output is ", output.shape(),
                  "; only a scalar has an implicit gradient: take a mean or sum, or pass one");
    seed = ones_like(output);
  }
  CONVKIT_CHECK(seed.shape() == output.shape() && seed.dtype() == output.dtype(), GradError,
                "backward: the gradient is ", seed.shape(), " ", seed.dtype(), ", the output ",
                output.shape(), " ", output.dtype());
  const NoGradGuard no_grad;
  const FlushSubnormals flush;
  Engine engine(options);
  Edge root;
  root.node = output.impl()->grad_fn;
  if (!root.node) root.leaf = output.shared_impl();
  engine.send(root, seed);
  engine.run();
}

}  // namespace convkit::autograd

namespace convkit {

void Tensor::backward() const { autograd::backward(*this); }

}  // namespace convkit
