#include "convkit/onnx/c_api.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "convkit/base/thread_pool.h"
#include "convkit/onnx/load.h"
#include "convkit/tensor/layout.h"

struct convkit_net {
  convkit::infer::Session session;
};

namespace {

static_assert(CONVKIT_MAX_RANK == convkit::kMaxDim);
static_assert(static_cast<int>(convkit::DType::boolean) == CONVKIT_BOOL);
static_assert(static_cast<int>(convkit::DType::int32) == CONVKIT_INT32);

thread_local std::string last_error;

// `body`, or `failed` where it throws.
template <class T, class F>
T guarded(T failed, F&& body) noexcept {
  try {
    last_error.clear();
    return body();
  } catch (const std::bad_alloc&) {
    last_error = "there is not enough memory";
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown error";
  }
  return failed;
}

convkit::Tensor tensor_of(const convkit_tensor& given) {
  const auto dtype = static_cast<int>(given.dtype);
  CONVKIT_CHECK(dtype >= CONVKIT_FLOAT32 && dtype <= CONVKIT_BOOL, convkit::DTypeError, "dtype ",
                dtype, " is none");
  CONVKIT_CHECK(given.rank >= 0 && given.rank <= CONVKIT_MAX_RANK, convkit::ShapeError, "rank ",
                given.rank, " is outside 0 to ", CONVKIT_MAX_RANK);
  const convkit::Shape shape(
      std::span<const int64_t>(given.shape, static_cast<std::size_t>(given.rank)));
  CONVKIT_CHECK(given.data != nullptr || shape.numel() == 0, convkit::ValueError,
                "an input has no data");
  return convkit::from_raw(given.data, shape.numel(), shape,
                           static_cast<convkit::DType>(given.dtype));
}

void fill(convkit_tensor& to, const convkit::Tensor& from) {
  const std::size_t item = convkit::item_size(from.dtype());
  const std::size_t bytes = static_cast<std::size_t>(from.numel()) * item;
  to.dtype = static_cast<convkit_dtype>(from.dtype());
  to.rank = static_cast<int32_t>(from.dim());
  for (int64_t axis = 0; axis < from.dim(); ++axis) to.shape[axis] = from.size(axis);
  to.data = std::malloc(bytes == 0 ? 1 : bytes);
  if (to.data == nullptr) throw std::bad_alloc();
  convkit::memory_to_row_major(from.shape(), item, from.raw_data(), to.data);
}

const char* name_at(const std::vector<convkit::graph::Value>& values, std::size_t index) {
  return index < values.size() ? values[index].name.c_str() : nullptr;
}

}  // namespace

const char* convkit_last_error(void) { return last_error.c_str(); }

convkit_net* convkit_load(const char* path) {
  return guarded<convkit_net*>(nullptr, [&] {
    CONVKIT_CHECK(path != nullptr, convkit::ValueError, "the path is null");
    return new convkit_net{convkit::load(path)};
  });
}

convkit_net* convkit_load_bytes(const void* bytes, size_t size) {
  return guarded<convkit_net*>(nullptr, [&] {
    CONVKIT_CHECK(bytes != nullptr, convkit::ValueError, "the bytes are null");
    return new convkit_net{
        convkit::load(std::span<const uint8_t>(static_cast<const uint8_t*>(bytes), size))};
  });
}

void convkit_free(convkit_net* net) { delete net; }

size_t convkit_input_count(const convkit_net* net) { return net->session.inputs().size(); }
size_t convkit_output_count(const convkit_net* net) { return net->session.outputs().size(); }
const char* convkit_input_name(const convkit_net* net, size_t index) {
  return name_at(net->session.inputs(), index);
}
const char* convkit_output_name(const convkit_net* net, size_t index) {
  return name_at(net->session.outputs(), index);
}

int convkit_run(const convkit_net* net, const convkit_tensor* inputs, size_t input_count,
                convkit_tensor* outputs, size_t output_count) {
  if (outputs != nullptr)
    for (size_t i = 0; i < output_count; ++i) outputs[i].data = nullptr;
  const int result = guarded(1, [&] {
    CONVKIT_CHECK(net != nullptr && (inputs != nullptr || input_count == 0) &&
                      (outputs != nullptr || output_count == 0),
                  convkit::ValueError, "the net, its inputs or its outputs are null");
    CONVKIT_CHECK(output_count <= net->session.outputs().size(), convkit::ValueError,
                  "the net has ", net->session.outputs().size(), " outputs, not ", output_count);
    std::vector<convkit::Tensor> given;
    for (size_t i = 0; i < input_count; ++i) given.push_back(tensor_of(inputs[i]));
    const std::vector<convkit::Tensor> results = net->session.run(given);
    for (size_t i = 0; i < output_count; ++i) fill(outputs[i], results[i]);
    return 0;
  });
  if (result != 0 && outputs != nullptr)
    for (size_t i = 0; i < output_count; ++i) convkit_free_tensor(&outputs[i]);
  return result;
}

void convkit_free_tensor(convkit_tensor* tensor) {
  if (tensor == nullptr) return;
  std::free(tensor->data);
  tensor->data = nullptr;
}

int convkit_set_memory_limit(convkit_net* net, int64_t bytes) {
  return guarded(1, [&] {
    net->session.set_memory_limit(bytes);
    return 0;
  });
}

int convkit_set_threads(int threads) {
  return guarded(1, [&] {
    convkit::set_num_threads(threads);
    return 0;
  });
}
