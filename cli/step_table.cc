#include "cli/step_table.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

namespace convkit::cli {
namespace {

std::string operators_of(const infer::StepDescription& step) {
  std::string text = step.op == "FusedConv" ? "Conv" : step.op;
  for (const std::string& fused : step.fused)
    text += "+" + (fused == "BatchNormalization" ? "BatchNorm" : fused);
  return text;
}

// How many characters a reader sees: continuation bytes of UTF-8 are none.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

void pad(std::ostringstream& out, const std::string& text, std::size_t width) {
  out << text << std::string(width - std::min(width, width_of(text)) + 2, ' ');
}

}  // namespace

std::string step_table(const std::vector<infer::StepDescription>& steps, bool with_reasons) {
  std::size_t name = 4;
  std::size_t ops = 9;
  std::size_t output = 6;
  std::size_t algorithm = 9;
  double total = 0;
  for (const infer::StepDescription& step : steps) {
    name = std::max(name, width_of(step.name));
    ops = std::max(ops, width_of(operators_of(step)));
    output = std::max(output, width_of(to_text(step.output)));
    algorithm = std::max(algorithm, width_of(step.algorithm));
    total += step.seconds;
  }
  std::ostringstream out;
  pad(out, "step", name);
  pad(out, "operators", ops);
  pad(out, "output", output);
  pad(out, "algorithm", algorithm);
  out << "   GFLOP       MB";
  if (total > 0) out << "        us  share  GFLOP/s";
  out << "\n" << std::fixed;
  for (const infer::StepDescription& step : steps) {
    pad(out, step.name, name);
    pad(out, operators_of(step), ops);
    pad(out, to_text(step.output), output);
    pad(out, step.algorithm, algorithm);
    out << std::setw(8) << std::setprecision(3) << step.gflop << " " << std::setw(8)
        << static_cast<double>(step.bytes + step.weight_bytes) / 1e6;
    if (total > 0)
      out << std::setprecision(1) << std::setw(10) << 1e6 * step.seconds << " " << std::setw(5)
          << 100 * step.seconds / total << "% " << std::setw(8)
          << (step.seconds > 0 ? step.gflop / step.seconds : 0);
    out << "\n";
    if (with_reasons && !step.reason.empty()) out << "    " << step.reason << "\n";
  }
  return out.str();
}

nlohmann::ordered_json steps_json(const std::vector<infer::StepDescription>& steps) {
  auto json = nlohmann::ordered_json::array();
  for (const infer::StepDescription& step : steps)
    json.push_back({{"name", step.name},
                    {"op", step.op},
                    {"fused", step.fused},
                    {"algorithm", step.algorithm},
                    {"reason", step.reason},
                    {"output", step.output.to_vector()},
                    {"gflop", step.gflop},
                    {"bytes", step.bytes},
                    {"weight_bytes", step.weight_bytes},
                    {"seconds", step.seconds}});
  return json;
}

}  // namespace convkit::cli
