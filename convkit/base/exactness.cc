#include "convkit/base/exactness.h"

#include <atomic>

namespace convkit {
namespace {
std::atomic<Exactness> setting{Exactness::fast};
thread_local const Exactness* innermost = nullptr;
}  // namespace

Exactness exactness() {
  return innermost != nullptr ? *innermost : setting.load(std::memory_order_relaxed);
}
void set_exactness(Exactness exactness) { setting.store(exactness, std::memory_order_relaxed); }

UseExactness::UseExactness(Exactness exactness) : outer_(innermost), own_(exactness) {
  innermost = &own_;
}
UseExactness::~UseExactness() { innermost = outer_; }

}  // namespace convkit
