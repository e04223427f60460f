#pragma once

#include <chrono>

namespace convkit::bench {

/// How busy others kept the processors that this process may run on, since it was made: other
/// processes, and on a virtual machine its neighbours (steal).
class ForeignLoad {
 public:
  ForeignLoad();
  /// In processors: 0.5 is half of one of them all the time. 0 where Linux's /proc/stat is missing.
  double processors() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double all_;  // seconds that the processors were busy until start_
  double own_;  // seconds of which for this process
};

}  // namespace convkit::bench
