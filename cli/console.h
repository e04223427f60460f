#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

/// Where the tool writes, and what may be written there.
namespace convkit::cli {

/// The two streams of a process. On a terminal there are colours and a progress bar; in a file or
/// pipe there are plain lines only. The environment variable NO_COLOR switches colours off
/// (no-color.org), TERM=dumb both.
class Console {
 public:
  /// Standard output and error.
  Console();
  /// Other streams, neither of them a terminal: for tests.
  Console(std::ostream& out, std::ostream& err);

  /// Results, on standard output. With --json nothing goes there but the one object.
  std::ostream& out() { return *out_; }
  /// Progress and remarks: standard output, or standard error when that belongs to JSON.
  std::ostream& progress() { return json_ ? *err_ : *out_; }
  std::ostream& err() { return *err_; }
  /// For --json.
  void reserve_out_for_json() { json_ = true; }
  bool json() const { return json_; }

  /// Whether progress() may be redrawn in place, and how many columns it has.
  bool can_redraw() const { return json_ ? err_is_terminal_ : out_is_terminal_; }
  int columns() const;

  /// `text` in an ANSI style such as "1" (bold) or "32" (green), on streams with colours.
  std::string styled(std::string_view style, const std::string& text) const;
  std::string styled_error(std::string_view style, const std::string& text) const;

 private:
  std::ostream* out_;
  std::ostream* err_;
  bool out_is_terminal_ = false;
  bool err_is_terminal_ = false;
  bool colours_ = false;
  bool json_ = false;
};

/// `0.1234` as "12.34 %".
std::string percent(double share);
/// Seconds as "42 s", "3:07 min" or "1:02:09 h".
std::string duration(double seconds);
/// A number with so many digits after the point.
std::string fixed(double value, int digits);

}  // namespace convkit::cli
