#include "convkit/models/registry.h"

#include <algorithm>

#include "convkit/models/lenet.h"
#include "convkit/models/m5.h"
#include "convkit/models/mobilenet.h"
#include "convkit/models/r3d.h"
#include "convkit/models/resnet.h"
#include "convkit/models/small_net.h"
#include "convkit/models/vgg.h"
#include "convkit/nn/functions.h"

namespace convkit::models {
namespace {

// "resnet18-3d" → {"resnet18", 3}; a name without suffix has rank 0.
struct Name {
  std::string base;
  int64_t rank = 0;
};

Name parsed(const std::string& name) {
  const std::size_t length = name.size();
  if (length > 3 && name[length - 3] == '-' && name[length - 1] == 'd' && name[length - 2] >= '1' &&
      name[length - 2] <= '3')
    return {name.substr(0, length - 3), name[length - 2] - '0'};
  return {name, 0};
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The smallest extent each net can halve as often as it does.
int64_t smallest_extent(const std::string& base) {
  if (base == "default") return 4;
  if (base == "lenet5") return 12;
  if (base == "m5") return 1021;
  if (base == "vgg16") return 32;
  return 1;
}

template <int Rank>
nn::AnyModule make_ranked(const std::string& base, int64_t channels, int64_t classes) {
  const ResNetOptions options{.in_channels = channels, .num_classes = classes};
  if (base == "resnet18") return resnet18<Rank>(options);
  if (base == "resnet34") return resnet34<Rank>(options);
  if (base == "resnet50") return resnet50<Rank>(options);
  return SmallNet<Rank>(SmallNetOptions{.in_channels = channels, .num_classes = classes});
}

nn::AnyModule make(const std::string& base, const Shape& input, int64_t classes) {
  const int64_t channels = input[0];
  if (base == "lenet5") {
    LeNetOptions options{.in_channels = channels, .num_classes = classes};
    options.image_size = {input[1], input[2]};
    return LeNet5(options);
  }
  if (base == "m5") return M5(M5Options{.in_channels = channels, .num_classes = classes});
  if (base == "r3d_18")
    return r3d_18(ResNetOptions{.in_channels = channels, .num_classes = classes});
  if (base == "vgg16") return vgg16(VggOptions{.in_channels = channels, .num_classes = classes});
  if (base == "mobilenet_v2")
    return mobilenet_v2(MobileNetOptions{.in_channels = channels, .num_classes = classes});
  switch (input.dim() - 1) {
    case 1:
      return make_ranked<1>(base, channels, classes);
    case 2:
      return make_ranked<2>(base, channels, classes);
    default:
      return make_ranked<3>(base, channels, classes);
  }
}

}  // namespace

const std::vector<ModelFacts>& model_list() {
  static const std::vector<ModelFacts> list = {
      {"default", "convkit's small net, learnt in minutes on a CPU", {1, 2, 3}, 10, {1, 28, 28}},
      {"lenet5", "LeNet-5 (LeCun et al. 1998) in today's form", {2}, 10, {1, 28, 28}},
      {"resnet18", "ResNet-18 (He et al. 2016)", {1, 2, 3}, 1000, {3, 224, 224}},
      {"resnet34", "ResNet-34 (He et al. 2016)", {1, 2, 3}, 1000, {3, 224, 224}},
      {"resnet50", "ResNet-50 (He et al. 2016)", {1, 2, 3}, 1000, {3, 224, 224}},
      {"vgg16", "VGG-16 (Simonyan and Zisserman 2015)", {2}, 1000, {3, 224, 224}},
      {"mobilenet_v2", "MobileNetV2 (Sandler et al. 2018)", {2}, 1000, {3, 224, 224}},
      {"r3d_18", "R3D-18 on video (Tran et al. 2018)", {3}, 400, {3, 16, 112, 112}},
      {"m5", "M5 on raw sound (Dai et al. 2017)", {1}, 10, {1, 16000}},
  };
  return list;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelFacts& facts : model_list()) names.emplace_back(facts.name);
  return names;
}

const ModelFacts& find_model(const std::string& name) {
  const Name wanted = parsed(name);
  for (const ModelFacts& facts : model_list()) {
    if (facts.name != wanted.base) continue;
    const bool has_rank = wanted.rank == 0 || std::find(facts.ranks.begin(), facts.ranks.end(),
                                                        wanted.rank) != facts.ranks.end();
    CONVKIT_CHECK(has_rank, ValueError, "there is no ", wanted.rank, "-d form of ", wanted.base,
                  "; it has ", facts.ranks.front(), " spatial axes: write ", wanted.base);
    return facts;
  }
  throw ValueError(message("there is no model '", name, "'; known are ", listed(model_names()),
                           " (-1d, -2d or -3d after default and resnet names the rank)"));
}

nn::AnyModule make_model(const std::string& name, const Shape& input, int64_t num_classes) {
  const ModelFacts& facts = find_model(name);
  const Name wanted = parsed(name);
  const int64_t rank = input.dim() - 1;
  CONVKIT_CHECK(num_classes >= 1, ValueError, name, ": num_classes is ", num_classes,
                "; a net needs at least 1");
  CONVKIT_CHECK(
      rank >= 1 && std::find(facts.ranks.begin(), facts.ranks.end(), rank) != facts.ranks.end(),
      ShapeError, name, ": a sample of shape ", input, " has ", std::max<int64_t>(rank, 0),
      " spatial axes, but this net takes ",
      facts.ranks.size() == 3 ? "1, 2 or 3" : to_text(facts.ranks.front()),
      ", as in (channels, spatial...) = ", facts.input);
  CONVKIT_CHECK(wanted.rank == 0 || wanted.rank == rank, ShapeError, name, ": a sample of shape ",
                input, " has ", rank, " spatial axes, not ", wanted.rank, "; use ", wanted.base,
                "-", rank, "d, or ", wanted.base, ", which follows the data");
  CONVKIT_CHECK(input[0] >= 1, ShapeError, name, ": a sample of shape ", input, " has no channels");
  const int64_t smallest = smallest_extent(wanted.base);
  for (int64_t axis = 1; axis <= rank; ++axis) {
    CONVKIT_CHECK(input[axis] >= smallest, ShapeError, name, ": a sample of shape ", input,
                  " is too small; this net needs at least ", smallest,
                  " along each spatial axis: resize the data");
  }
  nn::AnyModule net = make(wanted.base, input, num_classes);
  nn::for_each_module(net, [](const nn::ModuleView&) {});  // tells the layers their paths
  return net;
}

}  // namespace convkit::models
