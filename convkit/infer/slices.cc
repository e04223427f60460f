#include "convkit/infer/slices.h"

#include <algorithm>
#include <utility>

namespace convkit::infer {
namespace {

using graph::index_of;
using graph::kNoValue;
using graph::ValueId;

constexpr std::size_t kNoDraft = static_cast<std::size_t>(-1);
// Narrower slices, of wholes that do not stay in a cache, cost more than a copy: of what the
// hardware fetches ahead, most belongs to others.
constexpr int64_t kFewestFloats = 64;
constexpr int64_t kNearFloats = int64_t{1} << 20;

// Blocks of a Concat's inputs, and those before them: floats of each row.
struct Member {
  int64_t offset;
  int64_t floats;
};

// A value that a Concat has copied to its place in a larger one.
struct Copied {
  ValueId id;
  ValueId whole;
  int64_t offset;
  bool operator==(const Copied&) const = default;
};

class Finder {
 public:
  Finder(std::span<Draft> drafts, std::span<const char> is_free)
      : drafts_(drafts),
        is_free_(is_free),
        slices_(is_free.size()),
        writer_(is_free.size(), kNoDraft),
        readers_(is_free.size()) {
    for (std::size_t n = 0; n < drafts_.size(); ++n) {
      for (const ValueId id : drafts_[n].node.inputs)
        if (id != kNoValue) readers_[index_of(id)].push_back(n);
      for (const ValueId id : drafts_[n].node.outputs)
        if (id != kNoValue) writer_[index_of(id)] = n;
    }
  }

  std::vector<Slice> find() {
    // The last first: it is the largest of those that take the same values.
    for (std::size_t n = drafts_.size(); n-- > 0;)
      if (is_join(n)) place_inputs(n);
    for (std::size_t n = 0; n < drafts_.size(); ++n) tell_pitches(n);
    for (std::size_t n = 0; n < drafts_.size(); ++n)
      if (is_join(n)) leave_copies(n);
    return std::move(slices_);
  }

 private:
  bool is_join(std::size_t n) const { return drafts_[n].native && drafts_[n].native->join; }
  const Join& join(std::size_t n) const { return *drafts_[n].native->join; }
  ValueId output(std::size_t n) const { return drafts_[n].node.outputs[0]; }
  const Slice& slice(ValueId id) const { return slices_[index_of(id)]; }

  // False when so much has been compared that a file seems to aim at it; then values are copied.
  bool spend(std::size_t comparisons) {
    constexpr std::size_t kMostComparisons = std::size_t{1} << 26;
    spent_ += comparisons;
    return spent_ <= kMostComparisons;
  }

  static std::vector<Member> members(const Join& join) {
    std::vector<Member> all;
    int64_t offset = 0;
    for (const int64_t floats : join.blocks) {
      all.push_back({offset, floats});
      offset += floats;
    }
    return all;
  }

  static int64_t row_of(const std::vector<Member>& all) {
    return all.empty() ? 0 : all.back().offset + all.back().floats;
  }

  // Where the member of draft n's output lies, wherever that is itself. `row`: floats of all
  // members.
  Slice place(std::size_t n, const Member& member, int64_t row) const {
    const Slice& out = slice(output(n));
    Slice place{.whole = out.is_one() ? out.whole : output(n),
                .offset = out.offset + member.offset,
                .pitch = out.pitch};
    if (place.pitch == 0 && join(n).rows > 1) place.pitch = row;
    return place;
  }

  bool takes_pitch(std::size_t n, int operand) const {
    return drafts_[n].native && drafts_[n].native->step != nullptr &&
           drafts_[n].native->step->takes_pitch(operand);
  }
  // Rows of a Concat are positions only along the channels: nothing else has a pitch.
  bool can_be_slice(ValueId id, std::size_t joined_by, const Slice& place, int64_t floats) {
    if (is_free_[index_of(id)] == 0 || slice(id).is_one()) return false;
    const std::size_t writer = writer_[index_of(id)];
    if (writer == kNoDraft || !drafts_[writer].native) return false;
    if (place.pitch == 0) return true;
    if (floats < kFewestFloats && join(joined_by).rows * place.pitch > kNearFloats) return false;
    if (!join(joined_by).by_channels || !takes_pitch(writer, Step::kOutput)) return false;
    for (const std::size_t reader : readers_[index_of(id)]) {
      const auto& inputs = drafts_[reader].node.inputs;
      if (!spend(inputs.size())) return false;
      for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i] == id && !takes_pitch(reader, static_cast<int>(i))) return false;
    }
    return true;
  }

  void place_inputs(std::size_t n) {
    const ValueId whole = output(n);
    if (is_free_[index_of(whole)] == 0) return;
    if (!slice(whole).is_one()) find_larger(n);
    const std::vector<Member> all = members(join(n));
    const auto& inputs = drafts_[n].node.inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Slice to = place(n, all[i], row_of(all));
      if (can_be_slice(inputs[i], n, to, all[i].floats)) slices_[index_of(inputs[i])] = to;
    }
  }

  // A later Concat among whose inputs those of draft n stand side by side. Only one that already
  // has them as slices saves anything.
  void find_larger(std::size_t n) {
    const auto& inputs = drafts_[n].node.inputs;
    const int64_t width = row_of(members(join(n)));
    for (const std::size_t later : readers_[index_of(inputs[0])]) {
      if (later <= n || !is_join(later) || is_free_[index_of(output(later))] == 0) continue;
      if (join(later).rows != join(n).rows) continue;
      const auto& others = drafts_[later].node.inputs;
      if (!spend(others.size() * inputs.size())) return;
      const std::vector<Member> all = members(join(later));
      for (std::size_t first = 0; first + inputs.size() <= others.size(); ++first) {
        bool same = true;
        for (std::size_t i = 0; i < inputs.size() && same; ++i)
          same =
              others[first + i] == inputs[i] && join(later).blocks[first + i] == join(n).blocks[i];
        const Slice to = place(later, all[first], row_of(all));
        if (!same || !can_be_slice(output(n), later, to, width)) continue;
        slices_[index_of(output(n))] = to;
        return;
      }
    }
  }

  void tell_pitches(std::size_t n) {
    if (!drafts_[n].native || drafts_[n].native->step == nullptr) return;
    Step& step = *drafts_[n].native->step;
    const auto tell = [&](ValueId id, int operand) {
      if (id != kNoValue && slice(id).pitch > 0) step.set_pitch(operand, slice(id).pitch);
    };
    tell(output(n), Step::kOutput);
    const auto& inputs = drafts_[n].node.inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) tell(inputs[i], static_cast<int>(i));
  }

  void leave_copies(std::size_t n) {
    Draft& draft = drafts_[n];
    const std::vector<Member> all = members(join(n));
    std::vector<char> in_place(all.size(), 0);
    bool any = false;
    bool each = true;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const ValueId id = draft.node.inputs[i];
      const Slice to = place(n, all[i], row_of(all));
      const Slice& own = slice(id);
      // Its writer, or an earlier Concat within the same whole, has put it there.
      const Copied here{id, to.whole, to.offset};
      const bool there = (own.whole == to.whole && own.offset == to.offset) ||
                         (spend(copied_.size()) &&
                          std::find(copied_.begin(), copied_.end(), here) != copied_.end());
      if (there) {
        in_place[i] = 1;
        any = true;
      } else {
        each = false;
        if (to.whole != output(n)) copied_.push_back(here);
      }
    }
    if (each) {
      draft.native->step = nullptr;
      draft.node.inputs.clear();
    } else if (any) {
      draft.native->step = make_join(join(n), in_place);
      tell_pitches(n);
    }
  }

  std::span<Draft> drafts_;
  std::span<const char> is_free_;
  std::vector<Slice> slices_;
  std::vector<std::size_t> writer_;
  std::vector<std::vector<std::size_t>> readers_;
  std::vector<Copied> copied_;
  std::size_t spent_ = 0;
};

}  // namespace

std::vector<Slice> find_slices(std::span<Draft> drafts, std::span<const char> is_free) {
  return Finder(drafts, is_free).find();
}

}  // namespace convkit::infer
