#include "convkit/nn/module.h"

namespace convkit::nn {

Parameter::Parameter(const Tensor& tensor) : Tensor(tensor) {
  if (defined() && !requires_grad()) set_requires_grad();
}

void Visitor::operator()(std::string_view name, Parameter& parameter) {
  if (!parameter.defined()) return;
  const std::size_t outer = push(name);
  on_parameter(path_, parameter);
  pop(outer);
}

void Visitor::operator()(std::string_view name, Buffer& buffer) {
  if (!buffer.defined()) return;
  const std::size_t outer = push(name);
  on_buffer(path_, buffer);
  pop(outer);
}

void Visitor::operator()(std::string_view name, AnyModule& module) { module.accept(name, *this); }

void Visitor::on_parameter(const std::string& /*path*/, Parameter& /*parameter*/) {}
void Visitor::on_buffer(const std::string& /*path*/, Buffer& /*buffer*/) {}
void Visitor::on_enter(const ModuleView& /*module*/) {}
void Visitor::on_leave(const ModuleView& /*module*/) {}

std::size_t Visitor::push(std::string_view name) {
  const std::size_t outer = path_.size();
  if (!path_.empty()) path_ += '.';
  path_ += name;
  return outer;
}

}  // namespace convkit::nn
