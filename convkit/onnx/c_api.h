#pragma once

// This is C. NOLINTBEGIN(modernize-*,readability-identifier-naming)
#include <stddef.h>
#include <stdint.h>

#include "convkit/base/export.h"

/// Trained nets in C, and in every language that can call C. Link convkit::onnx.
///
/// Functions that can fail return null or a number other than 0; convkit_last_error() then says
/// why, in words. A net may be run from several threads at once. Nothing here throws.

#ifdef __cplusplus
extern "C" {
#endif

/// Element types.
typedef enum convkit_dtype {
  CONVKIT_FLOAT32 = 0,
  CONVKIT_FLOAT64 = 1,
  CONVKIT_FLOAT16 = 2,
  CONVKIT_BFLOAT16 = 3,
  CONVKIT_INT8 = 4,
  CONVKIT_UINT8 = 5,
  CONVKIT_INT16 = 6,
  CONVKIT_UINT16 = 7,
  CONVKIT_INT32 = 8,
  CONVKIT_UINT32 = 9,
  CONVKIT_INT64 = 10,
  CONVKIT_UINT64 = 11,
  CONVKIT_BOOL = 12
} convkit_dtype;

#define CONVKIT_MAX_RANK 8

/// A dense array in row-major order: (N, C, H, W) with W innermost.
typedef struct convkit_tensor {
  convkit_dtype dtype;
  int32_t rank;
  int64_t shape[CONVKIT_MAX_RANK];
  void* data;
} convkit_tensor;

typedef struct convkit_net convkit_net;

/// Why the last call of this thread failed; "" if none has. Valid until this thread's next call.
CONVKIT_API const char* convkit_last_error(void);

/// A net from an ONNX file, or from the bytes of one. Null on failure.
CONVKIT_API convkit_net* convkit_load(const char* path);
CONVKIT_API convkit_net* convkit_load_bytes(const void* bytes, size_t size);
/// Lets go of a net; null is allowed.
CONVKIT_API void convkit_free(convkit_net* net);

/// How many inputs and outputs a net has, and their names in order: null beyond the last. The net
/// owns the text.
CONVKIT_API size_t convkit_input_count(const convkit_net* net);
CONVKIT_API size_t convkit_output_count(const convkit_net* net);
CONVKIT_API const char* convkit_input_name(const convkit_net* net, size_t index);
CONVKIT_API const char* convkit_output_name(const convkit_net* net, size_t index);

/// Runs the net: reads `input_count` inputs and fills in `output_count` outputs, in the net's
/// order; there may be fewer outputs than the net has. Their data is to be given back with
/// convkit_free_tensor. On failure no output holds data.
CONVKIT_API int convkit_run(const convkit_net* net, const convkit_tensor* inputs,
                            size_t input_count, convkit_tensor* outputs, size_t output_count);
CONVKIT_API void convkit_free_tensor(convkit_tensor* tensor);

/// The most bytes that the values between a net's layers may take in a run; 0: no limit.
CONVKIT_API int convkit_set_memory_limit(convkit_net* net, int64_t bytes);
/// How many threads convkit works on.
CONVKIT_API int convkit_set_threads(int threads);

#ifdef __cplusplus
}
#endif
// NOLINTEND(modernize-*,readability-identifier-naming)
