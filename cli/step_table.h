#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "convkit/infer/session.h"

/// The steps of a compiled net, as text and as JSON.
namespace convkit::cli {

/// One line a step: name, operators, algorithm, output, GFLOP, bytes, and where it was measured its
/// time and share of the total. With reasons, a second line says why the algorithm was chosen.
std::string step_table(const std::vector<infer::StepDescription>& steps, bool with_reasons);

nlohmann::ordered_json steps_json(const std::vector<infer::StepDescription>& steps);

}  // namespace convkit::cli
