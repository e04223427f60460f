#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convkit/nn/module.h"

/// Nets by name, for the command line and for files that name the net they belong to.
namespace convkit::models {

/// What the registry knows of a net before it is made.
struct ModelFacts {
  std::string_view name;
  std::string_view summary;    ///< one line for people
  std::vector<int64_t> ranks;  ///< spatial axes it may have
  int64_t num_classes;         ///< of its paper, or of its usual data set
  Shape input;                 ///< of its paper, one sample: (C, spatial...)
};

/// All nets, in the order they are listed to people: default, lenet5, resnet18, ...
CONVKIT_API const std::vector<ModelFacts>& model_list();
CONVKIT_API std::vector<std::string> model_names();

/// The facts of a net by name. A suffix -1d, -2d or -3d (`resnet18-3d`) is accepted and fixes the
/// rank. Throws ValueError listing the known names.
CONVKIT_API const ModelFacts& find_model(const std::string& name);

/// A fresh net, its weights drawn from default_generator().
///
/// `input` is one sample, (C, spatial...); its rank chooses between the 1-, 2- and 3-dimensional
/// form where a net has several. `num_classes` is at least 1. Throws ValueError for an unknown name
/// (listing the known ones), and ShapeError for a sample the net cannot take.
CONVKIT_API nn::AnyModule make_model(const std::string& name, const Shape& input,
                                     int64_t num_classes);

}  // namespace convkit::models
