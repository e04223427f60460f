#pragma once

#include <functional>
#include <vector>

#include "bench/peers.h"

/// Fair times of rivals, by Google Benchmark: each takes several turns, in random order among the
/// others; before a turn the others' threads are put to rest and the work is done once untimed.
namespace convkit::bench {

/// Takes Google Benchmark's options (--benchmark_min_time=SECONDS of one turn,
/// --benchmark_repetitions=TURNS, ...) out of the command line, after defaults of its own: 5 turns
/// of 0.1 seconds.
void start_measuring(int* argc, char** argv);

/// The seconds one call of each takes: the median over its turns.
std::vector<double> measure(const std::vector<Work>& rivals);

/// One row's times: convkit's, then those of each of peers(), the fastest of its ways; NaN where it
/// has none.
struct Times {
  double ours;
  std::vector<double> peers;
};
Times measure_against(const Work& ours, const std::vector<std::vector<Work>>& peers_ways);

/// Ends a line of the table with the peers' columns: as a heading, or with a figure made of their
/// seconds, and the ratio of times (above 1: convkit is faster).
void print_peer_heading();
void print_peer_columns(const Times& times, const std::function<double(double)>& figure);

}  // namespace convkit::bench
