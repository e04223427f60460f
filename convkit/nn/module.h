#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convkit/base/scope.h"
#include "convkit/tensor/tensor.h"

/// What a module is: a plain struct with a call operator and one `visit`, which names its
/// parameters, buffers and children in order:
///
///   struct ConvNormAct {
///     nn::Conv2d conv;
///     nn::BatchNorm2d norm;
///     nn::ReLU act;
///     Tensor operator()(const Tensor& x) { return act(norm(conv(x))); }
///     void visit(auto&& v) { v("conv", conv); v("norm", norm); v("act", act); }
///   };
///
/// Everything else on modules (parameter lists, state_dict, train/eval, clone, printing, summary,
/// loading) is a function here or elsewhere that walks `visit`. A child may also be a
/// std::optional, std::vector or smart pointer of a module.
///
/// Copying a module copies its structure and shares its tensors, as copying a Tensor does; clone()
/// makes an independent net.
namespace convkit::nn {

/// A tensor that is trained. Assigning a tensor makes it a leaf that requires a gradient.
struct CONVKIT_API Parameter : Tensor {
  Parameter() = default;
  Parameter(const Tensor& tensor);  // NOLINT(google-explicit-constructor)
};

/// A tensor that is saved with the net but not trained, e.g. running_mean.
struct CONVKIT_API Buffer : Tensor {
  Buffer() = default;
  Buffer(const Tensor& tensor) : Tensor(tensor) {}  // NOLINT(google-explicit-constructor)
};

/// Base of the layers that behave differently in training, or whose errors and trace should name
/// their place in the net. Any walk over a net tells its layers their paths.
struct Layer {
  bool training = true;
  std::string path;
};

/// What a visitor sees of a module.
struct ModuleView {
  const std::string& path;  ///< dotted, empty for the root
  std::string_view type;    ///< e.g. "Conv2d"
  Layer* layer;             ///< null when the module is no Layer
  bool is_leaf;             ///< derives from Layer and describes itself: a building block
  std::function<std::string()> describe;  ///< e.g. "Conv2d(3, 64, kernel_size=(7, 7))"
};

class AnyModule;

/// Walks a net. Derive, override what you need, and call walk(net, visitor).
class CONVKIT_API Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(std::string_view name, Parameter& parameter);
  void operator()(std::string_view name, Buffer& buffer);
  void operator()(std::string_view name, AnyModule& module);
  template <class M>
  void operator()(std::string_view name, std::optional<M>& child) {
    if (child) (*this)(name, *child);
  }
  template <class M>
  void operator()(std::string_view name, std::unique_ptr<M>& child) {
    if (child) (*this)(name, *child);
  }
  template <class M>
  void operator()(std::string_view name, std::shared_ptr<M>& child) {
    if (child) (*this)(name, *child);
  }
  template <class M>
  void operator()(std::string_view name, std::vector<M>& children) {
    const std::size_t outer = push(name);
    for (std::size_t i = 0; i < children.size(); ++i) (*this)(std::to_string(i), children[i]);
    pop(outer);
  }
  template <class M>
  void operator()(std::string_view name, M& child) {
    const std::size_t outer = push(name);
    module(child);
    pop(outer);
  }

  template <class M>
  void module(M& m);

 protected:
  virtual void on_parameter(const std::string& path, Parameter& parameter);
  virtual void on_buffer(const std::string& path, Buffer& buffer);
  virtual void on_enter(const ModuleView& module);
  virtual void on_leave(const ModuleView& module);

 private:
  std::size_t push(std::string_view name);
  void pop(std::size_t outer) { path_.resize(outer); }

  std::string path_;
};

/// The unqualified name of a type, e.g. "ConvNormAct".
template <class M>
std::string_view type_name() {
  const std::string_view text = __PRETTY_FUNCTION__;
  const std::size_t begin = text.find("M = ") + 4;
  const std::size_t end = text.find_first_of(";]", begin);
  const std::string_view full = text.substr(begin, end - begin);
  const std::size_t arguments = full.find('<');
  const std::size_t colons = full.substr(0, arguments).rfind("::");
  return colons == std::string_view::npos ? full : full.substr(colons + 2);
}

template <class M>
void Visitor::module(M& m) {
  static_assert(
      !std::is_function_v<M>,
      "this is the declaration of a function, not a net: `Sequential net(ReLU());` declares"
      " one; write `Sequential net{ReLU()};`");
  constexpr bool kDescribes = requires {
    { m.describe() } -> std::convertible_to<std::string>;
  };
  constexpr bool kIsLayer = std::derived_from<M, Layer>;
  ModuleView view{path_, type_name<M>(), nullptr, kDescribes && kIsLayer, {}};
  std::string described;
  if constexpr (kIsLayer) {
    m.path = path_;
    view.layer = &m;
  }
  if constexpr (kDescribes) {
    view.describe = [&m] { return m.describe(); };
    described = m.describe();
    view.type = std::string_view(described).substr(0, described.find('('));
  } else {
    view.describe = [] { return std::string(type_name<M>()); };
  }
  on_enter(view);
  if constexpr (requires { m.visit(*this); }) m.visit(*this);
  on_leave(view);
}

/// Any module, or any callable Tensor → Tensor, behind one type. Copies copy the module.
class CONVKIT_API AnyModule {
 public:
  template <class M>
  requires(!std::same_as<std::remove_cvref_t<M>, AnyModule>)
      AnyModule(M&& module)  // NOLINT(google-explicit-constructor): Sequential(conv, norm, act)
      : held_(std::make_unique<Holder<std::remove_cvref_t<M>>>(std::forward<M>(module))) {}
  AnyModule(const AnyModule& other) : held_(other.held_->copy()) {}
  AnyModule(AnyModule&&) noexcept = default;
  AnyModule& operator=(const AnyModule& other) {
    held_ = other.held_->copy();
    return *this;
  }
  AnyModule& operator=(AnyModule&&) noexcept = default;

  Tensor operator()(const Tensor& x) { return held_->call(x); }
  void accept(std::string_view name, Visitor& visitor) { held_->accept(name, visitor); }
  void accept_as_root(Visitor& visitor) { held_->accept_as_root(visitor); }
  /// The module inside if it is an M, else null.
  template <class M>
  M* get() {
    auto* holder = dynamic_cast<Holder<M>*>(held_.get());
    return holder == nullptr ? nullptr : &holder->module;
  }

 private:
  struct Held {
    virtual ~Held() = default;
    virtual Tensor call(const Tensor& x) = 0;
    virtual void accept(std::string_view name, Visitor& visitor) = 0;
    virtual void accept_as_root(Visitor& visitor) = 0;
    virtual std::unique_ptr<Held> copy() const = 0;
  };
  template <class M>
  struct Holder final : Held {
    explicit Holder(M m) : module(std::move(m)) {}
    Tensor call(const Tensor& x) override { return module(x); }
    void accept(std::string_view name, Visitor& visitor) override { visitor(name, module); }
    void accept_as_root(Visitor& visitor) override { visitor.module(module); }
    std::unique_ptr<Held> copy() const override { return std::make_unique<Holder>(module); }
    M module;
  };
  std::unique_ptr<Held> held_;
};

/// Walks `net` from its root.
template <class M>
void walk(M& net, Visitor& visitor) {
  if constexpr (std::same_as<M, AnyModule>) {
    net.accept_as_root(visitor);
  } else {
    visitor.module(net);
  }
}

}  // namespace convkit::nn
