#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// The training steps that are compared with other libraries, for every side.
namespace convkit::bench {

struct TrainNet {
  std::string name;
  std::vector<int64_t> input;  ///< with the batch
};

inline const std::vector<TrainNet> kTrainNets = {
    {"default", {128, 1, 28, 28}},
    {"resnet18", {16, 3, 64, 64}},
    {"m5", {16, 1, 16000}},
    {"r3d_18", {2, 3, 16, 112, 112}},
};
inline constexpr int64_t kTrainClasses = 10;

}  // namespace convkit::bench
