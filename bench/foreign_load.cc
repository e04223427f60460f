#include "bench/foreign_load.h"

#include <algorithm>
#include <string>

#ifdef __linux__
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#endif

namespace convkit::bench {
namespace {

#ifdef __linux__
double busy_seconds() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  sched_getaffinity(0, sizeof mine, &mine);
  std::ifstream file("/proc/stat");
  double ticks = 0.0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double user, nice, system, idle, waiting, interrupts, soft_interrupts, steal;
    if (!(words >> name >> user >> nice >> system >> idle >> waiting >> interrupts >>
          soft_interrupts >> steal) ||
        !name.starts_with("cpu") || name == "cpu")
      continue;
    if (CPU_ISSET(std::stoul(name.substr(3)), &mine))
      ticks += user + nice + system + interrupts + soft_interrupts + steal;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double own_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
#else
double busy_seconds() { return 0.0; }
double own_seconds() { return 0.0; }
#endif

}  // namespace

ForeignLoad::ForeignLoad()
    : start_(std::chrono::steady_clock::now()), all_(busy_seconds()), own_(own_seconds()) {}

double ForeignLoad::processors() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const double foreign = (busy_seconds() - all_) - (own_seconds() - own_);
  return std::max(0.0, foreign / elapsed.count());
}

}  // namespace convkit::bench
