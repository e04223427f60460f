#pragma once

#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/kernels/conv_algorithm.h"
#include "convkit/kernels/conv_plan_options.h"

/// Measured times of convolution algorithms, kept by this process: what Planning::measured goes by.
///
/// A time is the least of several runs, on the threads at hand. The first measurement of a
/// convolution is kept, for another algorithm rounds otherwise: within a process, and among
/// processes that exchange their records (train/tuning_file.h), the choice stays, and with it every
/// bit, whatever the number of threads.
namespace convkit::kernels {

/// One convolution: what was asked for, and how long the algorithms that were tried took.
struct TuningRecord {
  struct Time {
    std::string algorithm;
    double seconds = 0.0;
    bool operator==(const Time&) const = default;
  };
  std::string problem;  ///< kernels::to_string of the geometry
  Direction direction = Direction::forward;
  Exactness exactness = Exactness::fast;
  Weights weights = Weights::changing;
  std::string simd_target;
  std::vector<Time> times;  ///< the fastest first; never empty

  bool operator==(const TuningRecord&) const = default;
};

/// All records, in the order they came. At most 65,536 are kept; then nothing new is measured.
CONVKIT_API std::vector<TuningRecord> tuning_records();
/// Adds one, unless there is one of the same convolution. Throws ValueError, in words, for a
/// problem, an algorithm or a time that cannot be. An algorithm that does not compute the problem
/// after all is passed over by the planner.
CONVKIT_API void add_tuning_record(TuningRecord record);
/// Forgets all.
CONVKIT_API void clear_tuning_records();

/// A program of the row, to be timed.
struct TuningCandidate {
  const ConvAlgorithm* row;
  const ConvProgram* program;
};

/// The times of `candidates` (not empty): those on record, or measured now and recorded. Times are
/// empty when there is no room for another record. Takes memory for operands of its own.
std::vector<TuningRecord::Time> tuned_times(const ConvGeometry& geometry, Direction direction,
                                            const PlanOptions& options,
                                            std::span<const TuningCandidate> candidates);

/// Those on record, without measuring; empty if there are none.
std::vector<TuningRecord::Time> recorded_times(const ConvGeometry& geometry, Direction direction,
                                               const PlanOptions& options);

}  // namespace convkit::kernels
