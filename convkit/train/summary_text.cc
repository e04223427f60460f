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

// Whether a line goes on below row `at` at `depth`: a later row hangs from the same one above.
bool goes_on(const std::vector<SummaryRow>& rows, std::size_t at, int64_t depth) {
  for (std::size_t i = at + 1; i < rows.size() && rows[i].depth >= depth; ++i)
    if (rows[i].depth == depth) return true;
  return false;
}

std::string lines_beside(const std::vector<SummaryRow>& rows, std::size_t at, int64_t last_depth) {
  std::string text;
  for (int64_t depth = 1; depth <= last_depth; ++depth)
    text += goes_on(rows, at, depth) ? "│  " : "   ";
  return text;
}

std::string indentation(const std::vector<SummaryRow>& rows, std::size_t at) {
  const int64_t depth = rows[at].depth;
  if (depth == 0) return "";
  return lines_beside(rows, at, depth - 1) + (goes_on(rows, at, depth) ? "├─ " : "└─ ");
}

// What stands left of a line that belongs to row `at`: the lines to its own children too.
std::string continuation(const std::vector<SummaryRow>& rows, std::size_t at) {
  return lines_beside(rows, at, rows[at].depth + 1);
}

std::string label(const SummaryRow& row) {
  if (row.depth == 0 || row.is_operation) return row.type;
  return row.path.substr(row.path.rfind('.') + 1) + " (" + row.type + ")";
}

std::string count_or_dash(int64_t count) { return count == 0 ? "-" : with_thousands(count); }

std::vector<std::string> details_of(const SummaryRow& row, const SummaryDetail& detail) {
  std::vector<std::string> lines;
  if (detail.explain) lines = row.explanation;
  if (row.plan.empty()) return lines;
  if (detail.plan) {
    lines.push_back(row.problem);
    for (const PlannedConvolution& planned : row.plan)
      lines.push_back(
          message(planned.direction, ": ", planned.algorithm, " (", planned.reason, ")"));
  } else if (detail.explain) {
    lines.push_back(message("algorithm: ", row.plan[0].algorithm, " (", row.plan[0].reason, ")"));
  }
  return lines;
}

}  // namespace

std::string to_table(const Summary& summary, const SummaryDetail& detail) {
  TextTable table({"layer (type)", "output", "parameters", "multiply-adds", "memory",
                   "receptive field", "stride"});
  for (std::size_t i = 0; i < summary.rows.size(); ++i) {
    const SummaryRow& row = summary.rows[i];
    table.add_row({indentation(summary.rows, i) + label(row),
                   row.ran ? to_text(row.output) : "(nothing to do)",
                   row.is_again ? "(again)" : count_or_dash(row.parameters),
                   count_or_dash(row.multiply_adds), row.bytes == 0 ? "-" : size_text(row.bytes),
                   extents(row.receptive_field), extents(row.stride)});
    if (row.is_container) continue;
    for (const std::string& line : details_of(row, detail))
      table.add_line(continuation(summary.rows, i) + line);
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
