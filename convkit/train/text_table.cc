#include "convkit/train/text_table.h"

#include <algorithm>
#include <utility>

namespace convkit::train {
namespace {

constexpr std::size_t kGap = 2;

}  // namespace

std::size_t display_width(const std::string& text) {
  // Continuation bytes of UTF-8 are 10xxxxxx.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

TextTable::TextTable(std::vector<std::string> header) : header_(std::move(header)) {}

void TextTable::add_row(std::vector<std::string> cells) {
  cells.resize(header_.size());
  rows_.push_back({std::move(cells), false});
}

void TextTable::add_line(std::string text) { rows_.push_back({{std::move(text)}, true}); }

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  std::size_t total = 0;
  for (std::size_t column = 0; column < header_.size(); ++column) {
    std::size_t width = display_width(header_[column]);
    for (const Row& row : rows_)
      if (!row.is_line) width = std::max(width, display_width(row.cells[column]));
    widths.push_back(width);
    total += width + (column == 0 ? 0 : kGap);
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t column = 0; column < cells.size(); ++column) {
      const std::string fill(widths[column] - display_width(cells[column]), ' ');
      if (column > 0) line.append(kGap, ' ');
      line += column == 0 ? cells[column] + fill : fill + cells[column];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add(header_);
  for (std::size_t i = 0; i < total; ++i) text += "─";
  text += "\n";
  for (const Row& row : rows_) {
    if (row.is_line) {
      text += row.cells.front() + "\n";
    } else {
      add(row.cells);
    }
  }
  return text;
}

}  // namespace convkit::train
