#include "cli/progress_bar.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "convkit/train/text_table.h"

namespace convkit::cli {
namespace {

constexpr int kLongestBar = 30;
constexpr int kShortestBar = 5;

}  // namespace

std::string bar_line(const std::string& label, double share, const std::string& details,
                     int columns) {
  share = std::clamp(share, 0.0, 1.0);
  const std::string number = std::to_string(static_cast<int>(std::floor(100 * share))) + " %";
  // " [" + bar + "] " + number + "  " + details
  const auto taken = static_cast<int>(train::display_width(label) + train::display_width(details) +
                                      number.size() + 6);
  const int length = std::min(kLongestBar, columns - taken);
  if (length < kShortestBar) {
    const std::string line = label + " " + number + "  " + details;
    return static_cast<int>(train::display_width(line)) <= columns ? line : label + " " + number;
  }
  const int full = static_cast<int>(std::lround(share * length));
  std::string bar;
  for (int i = 0; i < length; ++i) bar += i < full ? "█" : "░";
  return label + " [" + bar + "] " + number + "  " + details;
}

void ProgressBar::draw(const std::string& label, double share, const std::string& details) {
  if (!console_.can_redraw()) return;
  // The last column stays free: some terminals would wrap the line.
  console_.progress() << "\r\x1b[K" << bar_line(label, share, details, console_.columns() - 1)
                      << std::flush;
  is_drawn_ = true;
}

void ProgressBar::clear() {
  if (is_drawn_) console_.progress() << "\r\x1b[K" << std::flush;
  is_drawn_ = false;
}

}  // namespace convkit::cli
