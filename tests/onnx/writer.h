#pragma once

#include <cstdint>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "convkit/tensor/layout.h"
#include "convkit/tensor/tensor.h"

/// Writes ONNX messages field by field, right or wrong: for tests of the reader.
namespace convkit::onnx::wire {

using Message = std::string;

/// A message from what `write(protozero::pbf_writer&)` puts into it.
template <class Write>
Message message_of(Write write) {
  Message bytes;
  protozero::pbf_writer writer(bytes);
  write(writer);
  return bytes;
}

/// A TensorProto with raw data; `data_type` is ONNX's number of the type.
inline Message tensor(const std::string& name, const std::vector<int64_t>& dims, int32_t data_type,
                      const std::string& raw) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_packed_int64(1, dims.begin(), dims.end());
    w.add_int32(2, data_type);
    w.add_string(8, name);
    w.add_bytes(9, raw);
  });
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
inline Message floats(const std::string& name, const std::vector<int64_t>& dims,
                      const std::vector<float>& values) {
  return tensor(name, dims, 1, raw(values));
}
inline Message integers(const std::string& name, const std::vector<int64_t>& values) {
  return tensor(name, {static_cast<int64_t>(values.size())}, 7, raw(values));
}

/// AttributeProtos.
inline Message attribute(const std::string& name, int64_t value) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_int64(3, value);
    w.add_int32(20, 2);
  });
}
inline Message attribute(const std::string& name, float value) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_float(2, value);
    w.add_int32(20, 1);
  });
}
inline Message attribute(const std::string& name, const char* value) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_string(4, value);
    w.add_int32(20, 3);
  });
}
inline Message attribute(const std::string& name, const std::vector<int64_t>& values) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    for (const int64_t value : values) w.add_int64(8, value);
    w.add_int32(20, 7);
  });
}
inline Message graph_attribute(const std::string& name, const Message& graph) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_message(6, graph);
    w.add_int32(20, 5);
  });
}
inline Message tensor_attribute(const std::string& name, const Message& value) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_message(5, value);
    w.add_int32(20, 4);
  });
}
/// The value of the calling function's attribute `reference`.
inline Message reference_attribute(const std::string& name, const std::string& reference,
                                   int32_t type) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_int32(20, type);
    w.add_string(21, reference);
  });
}

/// A NodeProto.
inline Message node(const std::string& op, const std::vector<std::string>& inputs,
                    const std::vector<std::string>& outputs,
                    const std::vector<Message>& attributes = {}, const std::string& domain = "") {
  return message_of([&](protozero::pbf_writer& w) {
    for (const std::string& input : inputs) w.add_string(1, input);
    for (const std::string& output : outputs) w.add_string(2, output);
    w.add_string(4, op);
    for (const Message& each : attributes) w.add_message(5, each);
    if (!domain.empty()) w.add_string(7, domain);
  });
}

/// A ValueInfoProto of a tensor of floats (or `data_type`); extents below 0 are left open.
inline Message value(const std::string& name, const std::vector<int64_t>& extents,
                     int32_t data_type = 1) {
  const Message shape = message_of([&](protozero::pbf_writer& w) {
    for (const int64_t extent : extents)
      w.add_message(1, message_of([&](protozero::pbf_writer& dim) {
                      if (extent >= 0) dim.add_int64(1, extent);
                      if (extent < 0) dim.add_string(2, "d" + std::to_string(-extent));
                    }));
  });
  const Message type = message_of([&](protozero::pbf_writer& w) {
    w.add_int32(1, data_type);
    w.add_message(2, shape);
  });
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, name);
    w.add_message(2, message_of([&](protozero::pbf_writer& t) { t.add_message(1, type); }));
  });
}

struct GraphParts {
  std::vector<Message> nodes = {};
  std::vector<Message> initializers = {};
  std::vector<Message> inputs = {};
  std::vector<Message> outputs = {};
  std::vector<Message> value_infos = {};
};

inline Message graph(const GraphParts& parts) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(2, "g");
    for (const Message& each : parts.nodes) w.add_message(1, each);
    for (const Message& each : parts.initializers) w.add_message(5, each);
    for (const Message& each : parts.inputs) w.add_message(11, each);
    for (const Message& each : parts.outputs) w.add_message(12, each);
    for (const Message& each : parts.value_infos) w.add_message(13, each);
  });
}

inline Message opset(int64_t version, const std::string& domain = "") {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_string(1, domain);
    w.add_int64(2, version);
  });
}

inline Message model(const Message& graph_message, int64_t version,
                     const std::vector<Message>& functions = {}) {
  return message_of([&](protozero::pbf_writer& w) {
    w.add_int64(1, 8);
    w.add_string(2, "test");
    w.add_message(7, graph_message);
    w.add_message(8, opset(version));
    w.add_message(8, opset(1, "local"));
    for (const Message& each : functions) w.add_message(25, each);
  });
}

inline std::vector<uint8_t> bytes_of(const Message& text) { return {text.begin(), text.end()}; }

}  // namespace convkit::onnx::wire
