#include "convkit/base/exactness.h"

#include <atomic>

namespace convkit {
namespace {
std::atomic<Exactness> setting{Exactness::fast};
}

Exactness exactness() { return setting.load(std::memory_order_relaxed); }
void set_exactness(Exactness exactness) { setting.store(exactness, std::memory_order_relaxed); }

}  // namespace convkit
