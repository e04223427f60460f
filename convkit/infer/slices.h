#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "convkit/infer/draft.h"

/// For the sources of infer only: concatenation without copies. The inputs of a Concat are written
/// where its output holds them, as slices of it; a Concat of neighbours among the inputs of a later
/// one (as in DenseNet) is a slice of that one's output.
namespace convkit::infer {

/// A value that lies inside of another one.
struct Slice {
  graph::ValueId whole = graph::kNoValue;  ///< kNoValue: the value lies by itself
  int64_t offset = 0;                      ///< floats from the start of the whole
  int64_t pitch = 0;  ///< floats from position to position; 0: its positions stand side by side
  bool is_one() const { return whole != graph::kNoValue; }
};

/// What makes a slice of a value is that the step which writes it and all that read it take a pitch
/// (Step::takes_pitch), or need none: what is joined along the outermost axis with extents is one
/// stretch of memory. Where that is not so, the value is copied, as before.
///
/// `drafts` are in the order in which they run; `is_free` says of each value whether it is a plain
/// piece of the arena: no tensor, no constant, and no other name of a value (a view), nor has one.
/// Tells the steps their pitches, and leaves to each Concat the copies that are needed: where there
/// is none, its draft becomes a view of its output on itself (no step, no inputs). One slice or
/// none for each value.
std::vector<Slice> find_slices(std::span<Draft> drafts, std::span<const char> is_free);

}  // namespace convkit::infer
