#include <cstdio>

#include "convkit/train/summary.h"
#include "convkit/train/text_table.h"

namespace convkit::train {
namespace {

constexpr double kMegabyte = 1e6;

std::string megabytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f MB", static_cast<double>(bytes) / kMegabyte);
  return text;
}

std::string extents(const std::vector<int64_t>& values) {
  std::string text;
  for (const int64_t value : values) text += (text.empty() ? "" : "×") + to_text(value);
  return text;
}

std::string indentation(int64_t depth) {
  std::string text;
  for (int64_t level = 1; level < depth; ++level) text += "│  ";
  return depth > 0 ? text + "├─ " : text;
}

std::string label(const SummaryRow& row) {
  if (row.depth == 0 || row.is_operation) return row.type;
  return row.path.substr(row.path.rfind('.') + 1) + " (" + row.type + ")";
}

std::string count_or_dash(int64_t count) { return count == 0 ? "-" : with_thousands(count); }

}  // namespace

std::string to_table(const Summary& summary, bool explain) {
  TextTable table({"layer (type)", "output", "parameters", "multiply-adds", "memory",
                   "receptive field", "stride"});
  for (const SummaryRow& row : summary.rows) {
    const std::string indent = indentation(row.depth);
    table.add_row({indent + label(row), row.ran ? to_text(row.output) : "(nothing to do)",
                   row.is_again ? "(again)" : count_or_dash(row.parameters),
                   count_or_dash(row.multiply_adds), row.bytes == 0 ? "-" : megabytes(row.bytes),
                   extents(row.receptive_field), extents(row.stride)});
    if (!explain || row.is_container) continue;
    for (const std::string& line : row.explanation)
      table.add_line(indentation(row.depth) + "     " + line);
  }
  return table.text() + message("\nparameters:     ", with_thousands(summary.parameters), " (",
                                megabytes(summary.parameter_bytes), " with ",
                                with_thousands(summary.buffer_values), " values of state)",
                                "\nmultiply-adds:  ", with_thousands(summary.multiply_adds),
                                " for an input of ", summary.input, " (",
                                megabytes(summary.input_bytes), ")",
                                "\nmemory:         ", megabytes(summary.output_bytes),
                                " of outputs in a forward pass that keeps them all\n");
}

}  // namespace convkit::train
