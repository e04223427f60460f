#include <cstdio>

#include "convkit/train/summary.h"
#include "convkit/train/text_table.h"

namespace convkit::train {
namespace {

std::string size_text(int64_t bytes) {
  const auto count = static_cast<double>(bytes);
  char text[32];
  if (count < 1e6) {
    std::snprintf(text, sizeof text, "%.1f kB", count / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.1f MB", count / 1e6);
  }
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

// What stands left of a line that belongs to the row above.
std::string continuation(int64_t depth) {
  std::string text;
  for (int64_t level = 0; level < depth; ++level) text += "│  ";
  return text;
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
                   count_or_dash(row.multiply_adds), row.bytes == 0 ? "-" : size_text(row.bytes),
                   extents(row.receptive_field), extents(row.stride)});
    if (!explain || row.is_container) continue;
    for (const std::string& line : row.explanation)
      table.add_line(continuation(row.depth) + "   " + line);
  }
  return table.text() + message("\nparameters:     ", with_thousands(summary.parameters), " (",
                                size_text(summary.parameter_bytes), " with ",
                                with_thousands(summary.buffer_values), " values of state)",
                                "\nmultiply-adds:  ", with_thousands(summary.multiply_adds),
                                " for an input of ", summary.input, " (",
                                size_text(summary.input_bytes), ")",
                                "\nmemory:         ", size_text(summary.output_bytes),
                                " of outputs in a forward pass that keeps them all\n");
}

}  // namespace convkit::train
