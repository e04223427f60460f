#pragma once

#include "hwy/highway.h"

/// For files of loops over float or double arrays, below HWY_ONCE and in namespace
/// convkit::kernels: defines `template <class T> Loops<T> function()` for float and double. The
/// file's HWY_NAMESPACE has `Loops<float> loops()`, which is chosen for the machine at run time,
/// and `template <class T> Loops<T> loops_of()`: double serves gradient checks, not speed, so that
/// one body, for the instructions any machine has, is enough.
#define CONVKIT_DISPATCH_LOOPS(Loops, function)     \
  HWY_EXPORT(loops);                                \
  template <>                                       \
  Loops<float> function() {                         \
    return HWY_DYNAMIC_DISPATCH(loops)();           \
  }                                                 \
  template <>                                       \
  Loops<double> function() {                        \
    return HWY_STATIC_DISPATCH(loops_of)<double>(); \
  }
