#pragma once

#include <string>
#include <vector>

#include "convkit/base/export.h"

namespace convkit::train {

/// Columns of text, each as wide as its widest cell; the first is left-aligned, the others right.
class CONVKIT_API TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);
  /// Cells that are missing are empty.
  void add_row(std::vector<std::string> cells);
  /// A line that is not cut into cells, e.g. an explanation of the row before.
  void add_line(std::string text);
  std::string text() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    bool is_line = false;
  };
  std::vector<std::string> header_;
  std::vector<Row> rows_;
};

/// Characters that a terminal shows for a UTF-8 text (one per code point).
CONVKIT_API std::size_t display_width(const std::string& text);

}  // namespace convkit::train
