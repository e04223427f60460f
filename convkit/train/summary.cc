#include "convkit/train/summary.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "convkit/autograd/record.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/nn/functions.h"
#include "convkit/ops/conv_geometry.h"
#include "convkit/train/receptive_field.h"

namespace convkit::train {
namespace {

constexpr const char* kAxisNames[] = {"D", "H", "W"};

const char* axis_name(std::size_t axis, std::size_t axes) {
  return axes == 1 ? "L" : kAxisNames[axis + 3 - axes];
}

int64_t bytes_of(const Tensor& tensor) {
  return tensor.numel() * static_cast<int64_t>(item_size(tensor.dtype()));
}

std::string product(const Shape& shape, int64_t begin) {
  std::string text;
  for (int64_t axis = begin; axis < shape.dim(); ++axis)
    text += (text.empty() ? "" : "·") + to_text(shape[axis]);
  return text;
}

std::vector<std::string> explanation_of(const autograd::Event& event) {
  std::vector<std::string> lines;
  if (const auto windows = windows_of(event)) {
    for (std::size_t axis = 0; axis < windows->size(); ++axis)
      lines.push_back(message(axis_name(axis, windows->size()), ": ", explain((*windows)[axis])));
    return lines;
  }
  const std::string_view op = event.op.name;
  if (op == "linear") lines.push_back(message("out_features = ", event.output.size(-1)));
  if (op == "flatten" && event.inputs[0].dim() > 2)
    lines.push_back(message(product(event.inputs[0].shape(), 1), " = ", event.output.size(-1)));
  return lines;
}

int64_t multiply_adds_of(const autograd::Event& event) {
  const std::string_view op = event.op.name;
  if (event.inputs.size() < 2) return 0;
  const Tensor& weight = event.inputs[1];
  const bool is_conv = op == "conv1d" || op == "conv2d" || op == "conv3d";
  if ((!is_conv && op != "linear") || weight.size(0) == 0) return 0;
  return event.output.numel() * (weight.numel() / weight.size(0));
}

// What a net is made of, by path.
struct Module {
  std::string type;
  bool is_leaf = false;
  int64_t parameters = 0;  ///< of its own, not its children's
  bool used = false;
};

std::string parent_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

int64_t depth_of(const std::string& path) {
  return path.empty() ? 0 : 1 + std::count(path.begin(), path.end(), '.');
}

bool is_below(const std::string& path, const std::string& container) {
  return container.empty() || path == container || path.starts_with(container + ".");
}

// Turns the operations of one forward into rows.
class Builder final : public autograd::Tracer {
 public:
  Builder(nn::AnyModule& net, const Tensor& input, Summary& summary)
      : fields_(input), summary_(summary) {
    nn::for_each_module(net, [&](const nn::ModuleView& view) {
      order_.push_back(view.path);
      // "ResNet<2>" → "ResNet": the shapes show the rank.
      const std::string type(view.type.substr(0, view.type.find('<')));
      modules_[view.path] = {type, view.is_leaf, 0, false};
    });
    std::unordered_set<const TensorImpl*> counted;
    nn::for_each_tensor(net, [&](const std::string& path, Tensor& tensor, bool is_parameter) {
      if (!counted.insert(tensor.impl()).second) return;
      summary_.parameter_bytes += bytes_of(tensor);
      (is_parameter ? summary_.parameters : summary_.buffer_values) += tensor.numel();
      if (is_parameter) modules_[parent_of(path)].parameters += tensor.numel();
    });
    enter("");
  }

  void on_operation(const autograd::Event& event) override {
    const auto found = modules_.find(event.path);
    const bool in_layer = found != modules_.end() && found->second.is_leaf;
    enter(in_layer ? parent_of(event.path) : event.path);
    // A layer of several operations, such as padding and convolving, is one row.
    const bool goes_on = in_layer && !summary_.rows.empty() && last_path_ == event.path &&
                         summary_.rows.back().path == event.path;
    if (!goes_on) add_row(event, in_layer);
    last_path_ = in_layer ? event.path : std::string();
    complete(event);
  }

  // Layers that did nothing stand behind the module before them.
  void finish() {
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const Module& module = modules_[order_[i]];
      if (module.used || !module.is_leaf) continue;
      SummaryRow row;
      row.path = order_[i];
      row.type = module.type;
      row.depth = depth_of(order_[i]);
      auto place = summary_.rows.end();
      for (std::size_t before = i; before-- > 0 && place == summary_.rows.end();)
        place = std::find_if(summary_.rows.begin(), summary_.rows.end(),
                             [&](const auto& other) { return other.path == order_[before]; });
      summary_.rows.insert(place == summary_.rows.end() ? place : place + 1, std::move(row));
    }
  }

 private:
  // Adds rows for the containers on the way to `path` that are not open yet.
  void enter(const std::string& path) {
    std::vector<std::string> chain = {path};
    while (!chain.back().empty()) chain.push_back(parent_of(chain.back()));
    std::reverse(chain.begin(), chain.end());
    while (!open_.empty() && !is_below(path, summary_.rows[open_.back()].path)) open_.pop_back();
    for (std::size_t i = open_.size(); i < chain.size(); ++i) {
      SummaryRow row;
      row.path = chain[i];
      row.depth = depth_of(chain[i]);
      row.is_container = true;
      row.type = modules_[chain[i]].type;
      open_.push_back(summary_.rows.size());
      summary_.rows.push_back(std::move(row));
      count_parameters(summary_.rows.back());
    }
  }

  void add_row(const autograd::Event& event, bool in_layer) {
    SummaryRow row;
    row.path = event.path;
    row.type = in_layer ? modules_[event.path].type : std::string(event.op.name);
    row.is_operation = !in_layer;
    row.depth = depth_of(event.path) + (in_layer ? 0 : 1);
    summary_.rows.push_back(std::move(row));
    if (in_layer) count_parameters(summary_.rows.back());
  }

  // Counts a module's own parameters where it is used first, there and in what holds it.
  void count_parameters(SummaryRow& row) {
    Module& module = modules_[row.path];
    row.is_again = module.used;
    if (module.used) return;
    module.used = true;
    if (!row.is_container) row.parameters = module.parameters;
    for (const std::size_t container : open_)
      summary_.rows[container].parameters += module.parameters;
  }

  void complete(const autograd::Event& event) {
    SummaryRow& row = summary_.rows.back();
    const bool in_place = std::any_of(event.inputs.begin(), event.inputs.end(), [&](const auto& x) {
      return x.defined() && x.raw_data() == event.output.raw_data();
    });
    const int64_t bytes = in_place ? 0 : bytes_of(event.output);
    const int64_t multiply_adds = multiply_adds_of(event);
    row.ran = true;
    row.output = event.output.shape();
    row.bytes += bytes;
    row.multiply_adds += multiply_adds;
    for (std::string& line : explanation_of(event)) row.explanation.push_back(std::move(line));
    if (const auto geometry = ops::conv_geometry(event)) {
      row.problem = kernels::to_string(*geometry);
      for (const kernels::Direction direction : kernels::kDirections) {
        kernels::ConvChoice choice = kernels::choose(*geometry, direction);
        row.plan.push_back({kernels::name(direction), choice.algorithm->name,
                            std::move(choice.reason), choice.seconds});
      }
    }
    std::vector<std::size_t> targets = open_;
    targets.push_back(summary_.rows.size() - 1);
    const ReceptiveField* const field = fields_.follow(event);
    for (const std::size_t target : targets) {
      SummaryRow& each = summary_.rows[target];
      each.receptive_field = field != nullptr ? field->size : std::vector<int64_t>();
      each.stride = field != nullptr ? field->stride : std::vector<int64_t>();
      if (!each.is_container) continue;
      each.ran = true;
      each.output = event.output.shape();
      each.bytes += bytes;
      each.multiply_adds += multiply_adds;
    }
    summary_.output_bytes += bytes;
    summary_.multiply_adds += multiply_adds;
  }

  FieldTracker fields_;
  Summary& summary_;
  std::vector<std::string> order_;
  std::map<std::string, Module> modules_;
  std::vector<std::size_t> open_;  ///< rows of the containers we are in, outer first
  std::string last_path_;
};

}  // namespace

Summary summarize(nn::AnyModule& net, const Shape& input) {
  const NoGradGuard no_grad;
  nn::eval(net);
  const Tensor x = zeros(input);
  Summary summary;
  summary.input = input;
  summary.input_bytes = bytes_of(x);
  Builder builder(net, x, summary);
  {
    const autograd::TraceScope trace(builder);
    static_cast<void>(net(x));
  }
  builder.finish();
  return summary;
}

}  // namespace convkit::train
