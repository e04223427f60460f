#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace convkit::cli {
namespace {

constexpr int kUsualColumns = 80;

bool is_terminal(int descriptor) {
  const char* const term = std::getenv("TERM");
  const bool is_dumb = term != nullptr && std::string_view(term) == "dumb";
  return isatty(descriptor) == 1 && !is_dumb;
}

bool wants_colours() {
  const char* const no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

std::string with_style(bool enabled, std::string_view style, const std::string& text) {
  return enabled ? "\x1b[" + std::string(style) + "m" + text + "\x1b[0m" : text;
}

}  // namespace

Console::Console()
    : out_(&std::cout),
      err_(&std::cerr),
      out_is_terminal_(is_terminal(STDOUT_FILENO)),
      err_is_terminal_(is_terminal(STDERR_FILENO)),
      colours_(wants_colours()) {}

Console::Console(std::ostream& out, std::ostream& err) : out_(&out), err_(&err) {}

int Console::columns() const {
  winsize size{};
  if (ioctl(json_ ? STDERR_FILENO : STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return kUsualColumns;
  return size.ws_col;
}

std::string Console::styled(std::string_view style, const std::string& text) const {
  return with_style(colours_ && can_redraw(), style, text);
}

std::string Console::styled_error(std::string_view style, const std::string& text) const {
  return with_style(colours_ && err_is_terminal_, style, text);
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share) { return fixed(100 * share, 2) + " %"; }

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  char text[64];
  if (whole < 60) {
    std::snprintf(text, sizeof text, "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld min", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld h", whole / 3600, whole / 60 % 60,
                  whole % 60);
  }
  return text;
}

}  // namespace convkit::cli
