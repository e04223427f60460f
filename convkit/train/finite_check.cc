#include "convkit/train/finite_check.h"

#include "convkit/autograd/record.h"
#include "convkit/nn/functions.h"

namespace convkit::train {
namespace {

class FirstNotFinite final : public autograd::Tracer {
 public:
  void on_operation(const autograd::Event& event) override {
    if (!found_.empty() || all_finite(event.output)) return;
    found_ = message("the first output that is not finite is that of ",
                     event.path.empty() ? "the net itself" : event.path, " (", event.op.name, ", ",
                     event.output.shape(), ")");
    path_ = event.path;
  }
  const std::string& found() const { return found_; }
  const std::string& path() const { return path_; }

 private:
  std::string found_;
  std::string path_;
};

}  // namespace

std::string explain_not_finite(nn::AnyModule& net, const Tensor& images) {
  if (!all_finite(images)) return "the input itself is not finite";
  const NoGradGuard no_grad;
  FirstNotFinite tracer;
  {
    const autograd::TraceScope trace(tracer);
    static_cast<void>(net(images));
  }
  if (tracer.found().empty()) return "";
  for (const auto& [name, tensor] : nn::named_parameters(net)) {
    const bool is_own = name.size() > tracer.path().size() && name.starts_with(tracer.path()) &&
                        name.find('.', tracer.path().size() + 1) == std::string::npos;
    if (is_own && !all_finite(tensor))
      return tracer.found() + message(", whose ", name.substr(name.rfind('.') + 1),
                                      " the step before made not finite");
  }
  return tracer.found();
}

std::string first_not_finite_tensor(nn::AnyModule& net) {
  for (const auto& [name, tensor] : nn::state_dict(net))
    if (!all_finite(tensor)) return name;
  return "";
}

}  // namespace convkit::train
