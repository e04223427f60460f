#include "convkit/infer/shared_weights.h"

#include <cstdint>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace convkit::infer {
namespace {

// Of a sample: equal buffers are found by comparing all bits.
uint64_t hash_of(const Buffer<float>& floats) {
  constexpr std::size_t kSamples = 4096;
  constexpr uint64_t kPrime = 1099511628211ULL;  // FNV-1a
  uint64_t hash = 14695981039346656037ULL ^ floats.size();
  const std::size_t step = floats.size() / kSamples + 1;
  for (std::size_t i = 0; i < floats.size(); i += step) {
    uint32_t bits = 0;
    std::memcpy(&bits, &floats[i], sizeof bits);
    hash = (hash ^ bits) * kPrime;
  }
  return hash;
}

struct Registry {
  std::mutex mutex;
  std::unordered_multimap<uint64_t, std::weak_ptr<const Buffer<float>>> known;
};

Registry& registry() {
  static Registry* const instance = new Registry;  // sessions may outlive static destructors
  return *instance;
}

}  // namespace

SharedFloats share(Buffer<float> floats) {
  const uint64_t hash = hash_of(floats);
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  auto [at, end] = all.known.equal_range(hash);
  while (at != end) {
    SharedFloats known = at->second.lock();
    if (known == nullptr) {
      at = all.known.erase(at);
      continue;
    }
    if (known->size() == floats.size() &&
        std::memcmp(known->data(), floats.data(), floats.size() * sizeof(float)) == 0)
      return known;
    ++at;
  }
  auto shared = std::make_shared<const Buffer<float>>(std::move(floats));
  all.known.emplace(hash, shared);
  return shared;
}

}  // namespace convkit::infer
