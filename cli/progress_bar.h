#pragma once

#include <string>

#include "cli/console.h"

namespace convkit::cli {

/// One line of a terminal that is drawn over and over. Elsewhere it is silent.
class ProgressBar {
 public:
  explicit ProgressBar(Console& console) : console_(console) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Draws `label [bar] 43 % details`; the bar takes what the line leaves.
  void draw(const std::string& label, double share, const std::string& details);
  /// Removes the line, so that something else can be written.
  void clear();

 private:
  Console& console_;
  bool is_drawn_ = false;
};

/// The line itself, exactly `columns` wide or less.
std::string bar_line(const std::string& label, double share, const std::string& details,
                     int columns);

}  // namespace convkit::cli
