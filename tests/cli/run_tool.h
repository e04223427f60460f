#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/verbs.h"
#include "convkit/base/exactness.h"

/// The command-line tool, called within the test's own process.
namespace convkit::cli {

struct Result {
  int code;
  std::string out;
  std::string err;
};

inline Result convkit(const std::vector<std::string>& arguments,
                      const Interrupts& interrupts = {}) {
  std::ostringstream out;
  std::ostringstream err;
  Console console(out, err);
  const Exactness before = exactness();
  const int code = run(arguments, console, interrupts);
  set_exactness(before);  // --exact is for the whole process
  return {code, out.str(), err.str()};
}

}  // namespace convkit::cli
