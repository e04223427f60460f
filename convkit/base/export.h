#pragma once

/// Marks what users may link against; everything else stays hidden in the shared library.
#if defined(_WIN32)
#define CONVKIT_API
#else
#define CONVKIT_API __attribute__((visibility("default")))
#endif
