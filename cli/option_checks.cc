#include "cli/option_checks.h"

#include <charconv>
#include <string>

#include "cli/verbs.h"
#include "convkit/base/exactness.h"
#include "convkit/base/text.h"

namespace convkit::cli {
namespace {

// What is wrong with `text` as a number of type T, "" for nothing.
template <class T>
std::string number_fault(const std::string& text, const char* kind, T& value) {
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range) return message("'", text, "' is out of range");
  if (error != std::errc() || after != end) return message("'", text, "' is not ", kind);
  return "";
}

}  // namespace

CLI::Validator whole_number(int64_t least, int64_t most) {
  return {[least, most](std::string& text) {
            int64_t value = 0;
            std::string fault = number_fault(text, "a whole number, such as 5", value);
            if (fault.empty() && (value < least || value > most))
              fault = message("'", text, "' is out of range");
            if (fault.ends_with("range")) fault += message("; between ", least, " and ", most);
            return fault;
          },
          ""};
}

CLI::Validator any_number() {
  return {[](std::string& text) {
            double value = 0;
            return number_fault(text, "a number, such as 0.1", value);
          },
          ""};
}

CLI::Validator not_empty() {
  return {
      [](std::string& text) { return text.empty() ? "it is empty; give a name" : std::string(); },
      ""};
}

void add_exact_flag(CLI::App& verb) {
  verb.add_flag_callback(
      "--exact", [] { set_exactness(Exactness::exact); },
      "No Winograd and no FFT: smaller rounding errors, slower");
}

void add_autotune_flag(CLI::App& verb, Session& session) {
  verb.add_flag("--autotune", session.autotune,
                "Choose algorithms by measuring them here; kept for later runs");
}

}  // namespace convkit::cli
