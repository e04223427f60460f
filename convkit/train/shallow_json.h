#pragma once

/// For the sources of train only.
namespace convkit::train {

/// Parses JSON, of which whatever is nested deeper than any file of ours is left out: libraries
/// copy and print such values by recursion. The result is discarded (is_discarded()) for text that
/// is no JSON.
template <class Json, class Text>
Json parse_shallow(const Text& text) {
  constexpr int kMostDepth = 8;
  return Json::parse(
      text.begin(), text.end(), [](int depth, auto, Json&) { return depth <= kMostDepth; }, false);
}

}  // namespace convkit::train
