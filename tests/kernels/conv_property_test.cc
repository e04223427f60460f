#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <ostream>

#include "convkit/base/text.h"
#include "convkit/base/thread_pool.h"
#include "tests/kernels/conv_check.h"

// Properties of every algorithm over thousands of drawn geometries. What fails is shrunk to the
// smallest geometry that fails. RC_PARAMS="seed=... max_success=..." draws others, or more.
namespace convkit::kernels {

// For rapidcheck's reports.
void showValue(const ConvGeometry& g, std::ostream& os) {  // NOLINT(readability-identifier-naming)
  os << to_string(g) << " with pad_hi " << g.pad_hi[0] << "," << g.pad_hi[1] << "," << g.pad_hi[2];
}

}  // namespace convkit::kernels

namespace convkit::test {
namespace {

using kernels::conv_algorithms;
using kernels::kDirections;

constexpr const char* kParameters = "seed=20240607 max_success=2000 max_size=100";
constexpr int64_t kMostMacs = 1'500'000;

// From `low` to `high`, both included; shrinks towards `low`.
int64_t pick(int64_t low, int64_t high) { return *rc::gen::inRange<int64_t>(low, high + 1); }

// What each algorithm is made for, so that all of them meet many geometries they take.
enum class Kind { any, pointwise, three_taps, depthwise, few_channels_a_group, long_kernel, count };

ConvGeometry draw(Kind kind) {
  ConvGeometry g;
  g.batch = pick(1, 4);
  if (kind == Kind::depthwise) {
    g.groups = pick(1, 70);
    g.in_channels = g.groups;
    g.out_channels = g.groups * pick(1, 3);
  } else {
    const int64_t most = kind == Kind::few_channels_a_group || pick(0, 1) == 1 ? 5 : 70;
    g.groups = kind == Kind::few_channels_a_group ? pick(2, 12) : pick(0, 2) == 2 ? pick(1, 5) : 1;
    g.in_channels = g.groups * pick(1, most);
    g.out_channels = g.groups * pick(1, most);
  }
  const auto rank = kind == Kind::long_kernel ? 1 : static_cast<int>(pick(1, 3));
  const int64_t longest = kind == Kind::long_kernel ? 300 : rank == 1 ? 90 : rank == 2 ? 17 : 8;
  for (int axis = kernels::kAxes - rank; axis < kernels::kAxes; ++axis) {
    g.in[axis] = pick(1, longest);
    if (kind == Kind::pointwise) {
      g.stride[axis] = pick(1, 2);
    } else if (kind == Kind::three_taps) {
      g.kernel[axis] = pick(0, 3) == 3 ? 1 : 3;
      g.pad_lo[axis] = pick(0, 2);
      g.pad_hi[axis] = pick(-1, 3);
    } else {
      g.kernel[axis] = pick(1, pick(0, 2) == 2 ? longest / 3 + 1 : 3);
      g.stride[axis] = pick(0, 1) == 1 ? pick(1, 4) : 1;
      g.dilation[axis] = pick(0, 2) == 2 ? pick(1, 3) : 1;
      g.pad_lo[axis] = pick(0, 5) == 5 ? pick(-2, 7) : pick(0, 2);
      g.pad_hi[axis] = pick(0, 1) == 1 ? pick(-2, 5) : g.pad_lo[axis];
    }
  }
  return kernels::with_output_size(g);
}

bool is_worth_running(const ConvGeometry& g) {
  return std::all_of(g.out.begin(), g.out.end(), [](int64_t extent) { return extent >= 1; }) &&
         kernels::macs(g) <= kMostMacs;
}

rc::Gen<ConvGeometry> geometries() {
  return rc::gen::suchThat(
      rc::gen::resize(rc::kNominalSize, rc::gen::exec([] {
                        return draw(static_cast<Kind>(pick(0, static_cast<int>(Kind::count) - 1)));
                      })),
      is_worth_running);
}

// Deterministic unless the caller's environment says otherwise.
bool check(const char* sentence, const std::function<void(const ConvGeometry&)>& property) {
  setenv("RC_PARAMS", kParameters, /*overwrite=*/0);
  return rc::check(sentence, [&] { property(*geometries().as("geometry")); });
}

TEST(ConvProperties, EveryAlgorithmComputesWhatTheDefinitionSays) {
  const OnThreads alone(1);
  std::map<std::string, int> uses;
  EXPECT_TRUE(check("equals the reference within rounding", [&](const ConvGeometry& g) {
    const ConvData data(g, static_cast<unsigned>(hash(g)));
    for (const Direction direction : kDirections) {
      const Exact want = exact(direction, data);
      for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        ++uses[row.name];
        const std::string off = difference(result(row, direction, data), want, row.error_growth);
        if (!off.empty())
          RC_FAIL(message(row.name, " on ", target, ", ", name(direction), ": ", off));
      });
    }
  }));
  for (const ConvAlgorithm& row : conv_algorithms()) EXPECT_GE(uses[row.name], 300) << row.name;
}

TEST(ConvProperties, EveryAlgorithmGivesTheSameBitsOnAnyNumberOfThreads) {
  std::vector<std::unique_ptr<ThreadPool>> pools;
  for (const int threads : {1, 2, 3, 4}) pools.push_back(std::make_unique<ThreadPool>(threads));
  EXPECT_TRUE(check("has the same bits on 1 to 4 threads", [&](const ConvGeometry& g) {
    const ConvData data(g, static_cast<unsigned>(hash(g)));
    for (const Direction direction : kDirections)
      for (const ConvAlgorithm& row : conv_algorithms()) {
        if (row.name == std::string("reference") || !row.why_not(g, direction).empty()) continue;
        std::vector<float> want;
        for (const auto& pool : pools) {
          const UseThreadPool use(*pool);
          std::vector<float> got = result(row, direction, data);
          if (want.empty()) want = got;
          if (std::memcmp(want.data(), got.data(), want.size() * sizeof(float)) != 0)
            RC_FAIL(row.name + std::string(", ") + name(direction) + ": other bits on " +
                    std::to_string(pool->size()) + " threads");
        }
      }
  }));
}

enum class Finiteness { finite, infinite, nan };
Finiteness finiteness(float value) {
  return std::isnan(value)   ? Finiteness::nan
         : std::isinf(value) ? Finiteness::infinite
                             : Finiteness::finite;
}

// Whether a weight (forward, backward-input) or an output's gradient (backward-weight) that belongs
// to the channel of result i is not finite. Padding counts as zeros or as nothing: what meets it
// may give NaN.
bool may_meet_padding(const ConvData& data, Direction direction, std::size_t result) {
  const ConvGeometry& g = data.g;
  const auto i = static_cast<int64_t>(result);
  const int64_t per_output = weight_count(g) / g.out_channels;
  const std::vector<float>& spoilt = direction == Direction::backward_weight ? data.dy : data.w;
  for (std::size_t at = 0; at < spoilt.size(); ++at) {
    if (std::isfinite(spoilt[at])) continue;
    const auto place = static_cast<int64_t>(at);
    const int64_t output = place / per_output;  // of a weight
    if (direction == Direction::forward && output == i % g.out_channels) return true;
    if (direction == Direction::backward_weight && place % g.out_channels == i / per_output)
      return true;
    if (direction == Direction::backward_input &&
        output / g.group_out() * g.group_in() + place % g.group_in() == i % g.in_channels)
      return true;
  }
  return false;
}

// A NaN or an infinity somewhere in each operand.
void spoil(std::vector<float>& values) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto at = *rc::gen::inRange<std::size_t>(0, values.size());
  values[at] = *rc::gen::element(std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity);
}

TEST(ConvProperties, NanAndInfinityPropagateAsInTheReferenceWhereSumsAreExact) {
  const OnThreads alone(1);
  EXPECT_TRUE(check("has NaN and infinity where the reference has", [&](const ConvGeometry& g) {
    ConvData data(g, static_cast<unsigned>(hash(g)));
    for (std::vector<float>* operand : {&data.x, &data.w, &data.dy}) spoil(*operand);
    for (const Direction direction : kDirections) {
      const std::vector<float> want = result(kernels::conv_algorithm("reference"), direction, data);
      for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        if (!row.exact) return;
        const std::vector<float> got = result(row, direction, data);
        for (std::size_t i = 0; i < got.size(); ++i)
          if (finiteness(got[i]) != finiteness(want[i]) &&
              !(std::isnan(got[i]) && may_meet_padding(data, direction, i)))
            RC_FAIL(row.name + (" on " + target + ", ") + name(direction) + ": element " +
                    std::to_string(i) + " is " + std::to_string(got[i]) + ", the reference's " +
                    std::to_string(want[i]));
      });
    }
  }));
}

}  // namespace
}  // namespace convkit::test
