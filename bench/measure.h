#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/peers.h"

/// Fair times of rivals, by Google Benchmark: each takes several turns, in random order among the
/// others; before a turn the others' threads are put to rest and the work is done once untimed.
/// Work of more than 0.1 seconds needs no such warming up, work of more than 0.5 takes three turns,
/// and of more than 2 its first call counts. Work whose first call takes more than twice as long as
/// that of another has lost beyond doubt: from some 0.1 seconds on it takes two turns, from 0.2
/// one.
namespace convkit::bench {

/// Takes Google Benchmark's options (--benchmark_min_time=SECONDS of one turn,
/// --benchmark_repetitions=TURNS, ...) out of the command line, after defaults of its own: 5 turns
/// of 0.1 seconds.
void start_measuring(int* argc, char** argv);

struct Rival {
  std::string name;
  std::vector<Work> ways;  ///< whose fastest counts
};

/// The seconds one call of each rival takes: the median over the turns of its fastest way; NaN for
/// a rival without ways, or whose ways all throw.
std::vector<double> measure(const std::vector<Rival>& rivals);

/// Ends a line of a table with the columns of peers(): as a heading, or with a figure made of their
/// seconds, and the ratio to convkit's (above 1: convkit is faster).
void print_peer_heading();
void print_peer_columns(double ours, const std::vector<double>& theirs,
                        const std::function<double(double)>& figure);

}  // namespace convkit::bench
