#include "convkit/base/cpu.h"

#include <fstream>
#include <string_view>

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace convkit {

std::string cpu_model() {
#ifdef __APPLE__
  char name[256];
  std::size_t size = sizeof(name);
  if (sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0) return name;
#else
  std::ifstream file("/proc/cpuinfo");
  constexpr std::string_view kField = "model name";
  for (std::string line; std::getline(file, line);) {
    const std::size_t value = line.find_first_not_of(" \t:", kField.size());
    if (line.starts_with(kField) && value != std::string::npos) return line.substr(value);
  }
#endif
  return "unknown";
}

}  // namespace convkit
