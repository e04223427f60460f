#include "convkit/infer/session.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/arena.h"
#include "convkit/tensor/deferred.h"
#include "tests/infer/nodes.h"
#include "tests/support/on_threads.h"
#include "tests/support/sanitizers.h"
#include "tests/support/throws.h"

namespace convkit::infer {
namespace {

using graph::Graph;
using graph::Op;
using graph::ValueId;
using test::Builder;
using test::Ints;
using test::random_inputs;

Tensor int64s(const Ints& values) { return from_values(values, {std::ssize(values)}); }

// EXPECTs the interpreter's outputs of the session, without its rounding errors of Winograd.
void expect_as_interpreted(const Graph& graph, std::span<const Tensor> inputs) {
  const Session session(graph, {.exactness = Exactness::exact});
  const std::vector<Tensor> expected = interpret(graph, inputs);
  for (int i = 0; i < 2; ++i) {
    const std::vector<Tensor> actual = session.run(inputs);
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t o = 0; o < actual.size(); ++o)
      test::expect_same_sums(actual[o], expected[o], "output " + std::to_string(o));
  }
}

// The same numbers, fetched when somebody reads them.
class CopySource final : public TensorSource {
 public:
  explicit CopySource(Tensor tensor) : tensor_(std::move(tensor)) {}
  void read_rows(int64_t first, int64_t count, void* target) const override {
    const int64_t row = tensor_.numel() / tensor_.size(0);
    std::copy_n(tensor_.data<float>() + first * row, count * row, static_cast<float*>(target));
  }

 private:
  Tensor tensor_;
};
Tensor deferred_copy(const Tensor& tensor) {
  return deferred(tensor.shape(), DType::float32, std::make_shared<CopySource>(tensor));
}

// How many steps the interpreter runs.
int64_t generic_steps(const Session& session, std::span<const Tensor> inputs) {
  int64_t count = 0;
  for (const StepDescription& step : session.steps(inputs))
    if (step.algorithm == "interpreter") ++count;
  return count;
}

// A net like a small ResNet.
Graph residual_net(const Shape& input, bool free_batch = false) {
  Builder b;
  const ValueId x = b.input(input);
  if (free_batch)
    for (graph::Dim& dim : *b.graph.value(x).type.dims)
      if (dim.extent != input[1]) dim = {};
  ValueId y = b.node(Op::relu, {b.batch_norm(b.conv(x, {8, 3, 7, 7}, {3, 3, 3, 3}, {2, 2}), 8)});
  y = b.node(Op::max_pool, {y}, test::pool_attributes({3, 3}, {2, 2}, {1, 1, 1, 1}));
  for (int block = 0; block < 2; ++block) {
    const int64_t out = block == 0 ? 8 : 16;
    const ValueId first = b.node(
        Op::relu,
        {b.batch_norm(b.conv(y, {out, 8, 3, 3}, {1, 1, 1, 1}, {block + 1, block + 1}), out)});
    const ValueId second = b.batch_norm(b.conv(first, {out, out, 3, 3}, {1, 1, 1, 1}), out);
    const ValueId shortcut = block == 0 ? y : b.conv(y, {16, 8, 1, 1}, {}, {2, 2});
    y = b.node(Op::relu, {b.node(Op::add, {second, shortcut})});
  }
  y = b.node(Op::flatten, {b.node(Op::global_average_pool, {y})}, {{"axis", int64_t{1}}});
  y = b.node(Op::gemm, {y, b.random_constant({10, 16}), b.random_constant({10})},
             {{"alpha", 1.0}, {"beta", 1.0}, {"transA", int64_t{0}}, {"transB", int64_t{1}}});
  return b.finish({b.node(Op::softmax, {y}, {{"axis", int64_t{1}}})});
}

TEST(Session, RunsAResidualNetInStepsOfItsOwn) {
  const Graph g = residual_net({2, 3, 40, 36});
  const std::vector<Tensor> inputs = random_inputs(g);
  expect_as_interpreted(g, inputs);
  const Session session(g);
  EXPECT_EQ(generic_steps(session, inputs), 0);
  // Stem, pool, two blocks of two, one shortcut, pool, gemm, softmax; flatten moves nothing.
  EXPECT_EQ(session.steps(inputs).size(), 10U);
}

TEST(Session, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Graph g = residual_net({2, 3, 40, 36});
  const std::vector<Tensor> inputs = random_inputs(g);
  const Session session(g);
  const Tensor one = [&] {
    const test::OnThreads threads(1);
    return session.run(inputs)[0];
  }();
  for (const int count : {2, 3}) {
    const test::OnThreads threads(count);
    EXPECT_TRUE(bit_equal(session.run(inputs)[0], one)) << count << " threads";
  }
}

TEST(Session, TakesNoMemoryFromTheSystemAfterTheFirstRun) {
  if (!test::kCachesMemory)
    GTEST_SKIP() << "the cache is off, so that a sanitizer sees every misuse";
  const Graph g = residual_net({1, 3, 64, 64});
  const std::vector<Tensor> inputs = random_inputs(g);
  const Session session(g);
  // On more threads, the first runs may not have had as many tasks at once as a later one.
  const test::OnThreads alone(1);
  static_cast<void>(session.run(inputs));
  static_cast<void>(session.run(inputs));
  const std::size_t before = system_allocations();
  for (int i = 0; i < 5; ++i) static_cast<void>(session.run(inputs));
  EXPECT_EQ(system_allocations(), before);
}

TEST(Session, KeepsNothingOfARunButAnArenaForEachThread) {
  const Graph g = residual_net({1, 3, 64, 64});
  const Session session(g);
  const auto run_on = [&](int count) {
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(count));
    for (int t = 0; t < count; ++t)
      threads.emplace_back([&, t] {
        const std::vector<Tensor> inputs = random_inputs(g, static_cast<uint64_t>(t));
        for (int i = 0; i < 20; ++i) static_cast<void>(session.run(inputs));
      });
    for (std::thread& thread : threads) thread.join();
  };
  run_on(1);
  const std::size_t with_one = allocated_bytes();
  run_on(1);
  EXPECT_EQ(allocated_bytes(), with_one);
  run_on(4);
  const auto arena = static_cast<std::size_t>(session.arena_bytes(random_inputs(g)));
  // Blocks are up to an eighth larger than what they hold.
  EXPECT_LE(allocated_bytes(), with_one + 3 * arena * 9 / 8);
}

TEST(Session, HoldsWeightsOnlyAsItsStepsReadThem) {
  Graph g = residual_net({1, 3, 32, 32});
  const std::vector<Tensor> inputs = random_inputs(g);
  for (graph::Value& value : g.values)
    if (value.is_constant()) {
      const Tensor numbers = value.constant.clone();
      value.constant = value.constant.dim() < 4 ? numbers : deferred_copy(numbers);
    }
  const Session session(std::move(g));
  static_cast<void>(session.run(inputs));
  int64_t convolutions = 0;
  for (const graph::Value& value : session.graph().values)
    if (value.is_constant() && value.constant.dim() == 4) {
      EXPECT_NE(source_of(value.constant), nullptr) << value.name;
      ++convolutions;
    }
  EXPECT_EQ(convolutions, 6);
}

TEST(Session, MayBeRunFromSeveralThreadsAtOnce) {
  const Graph g = residual_net({1, 3, 32, 32});
  const Session session(g);
  std::vector<Tensor> expected;
  for (uint64_t seed = 0; seed < 4; ++seed)
    expected.push_back(session.run(random_inputs(g, seed))[0]);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const std::vector<Tensor> inputs = random_inputs(g, t);
      for (int i = 0; i < 10; ++i)
        if (!bit_equal(session.run(inputs)[0], expected[t])) ++wrong[t];
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Session, KeepsMemoryFlatOverAThousandShapes) {
  const Graph g = residual_net({1, 3, 32, 32}, /*free_batch=*/true);
  const Session session(g, {.most_plans = 4});
  Generator random(5);
  std::size_t after_warm_up = 0;
  for (int i = 0; i < 1000; ++i) {
    const Shape shape = {1 + i % 2, 3, 9 + i % 25, 9 + i / 25};
    static_cast<void>(session.run({rand(shape, random)}));
    EXPECT_LE(session.plan_count(), 4);
    if (i == 99) after_warm_up = allocated_bytes();
  }
  // Later pictures are up to four times as high.
  EXPECT_LE(allocated_bytes(), 4 * after_warm_up);
  EXPECT_LE(allocated_bytes(), std::size_t{8} << 20);
}

TEST(Session, RefusesMoreMemoryThanItsLimit) {
  const Graph g = residual_net({1, 3, 32, 32});
  const std::vector<Tensor> inputs = random_inputs(g);
  Session session(g);
  const int64_t bytes = session.arena_bytes(inputs);
  EXPECT_GT(bytes, 0);
  session.set_memory_limit(bytes - 1);
  EXPECT_ERROR(session.run(inputs), ValueError, std::to_string(bytes), "limit");
  session.set_memory_limit(bytes);
  static_cast<void>(session.run(inputs));
}

TEST(Session, NamesWhatIsWrongWithInputs) {
  const Session session(residual_net({1, 3, 32, 32}));
  EXPECT_ERROR(session.run({zeros({1, 4, 32, 32})}), ShapeError, "x0", "1×4×32×32");
  EXPECT_ERROR(session.run({zeros({1, 3, 32, 32}, DType::float64)}), DTypeError, "float64");
  EXPECT_ERROR(session.run(std::span<const Tensor>{}), ValueError, "1 inputs");
}

TEST(Session, MixesItsStepsWithTheInterpreters) {
  Builder b;
  const ValueId x = b.input({2, 4, 6, 6});
  ValueId y = b.conv(x, {6, 4, 3, 3}, {1, 1, 1, 1});
  y = b.node(Op::pow, {y, b.constant(full({}, 2))});  // no step of its own
  const ValueId z = b.node(Op::sigmoid, {y});
  // Shapes found from shapes, and a view that is put out.
  const ValueId shape = b.node(Op::shape, {z}, {{"start", int64_t{0}}});
  const ValueId flat = b.node(Op::flatten, {z}, {{"axis", int64_t{1}}});
  const ValueId back = b.node(Op::reshape, {flat, shape}, {{"allowzero", int64_t{0}}});
  const ValueId sum = b.node(Op::add, {b.node(Op::mul, {back, y}), z});
  // How many elements this has depends on numbers.
  const ValueId places = b.node(Op::non_zero, {b.node(Op::relu, {x})});
  const Graph g = b.finish({sum, places, shape, z, x});
  expect_as_interpreted(g, random_inputs(g));
}

TEST(Session, AddsResidualsOfOtherShapes) {
  Builder b;
  const ValueId x = b.input({2, 4, 5, 5});
  const ValueId pooled = b.node(Op::global_average_pool, {x});
  const ValueId small = b.conv(pooled, {4, 4, 1, 1}, {});
  const ValueId grown = b.node(Op::relu, {b.node(Op::add, {small, x})});
  const ValueId stretched = b.node(Op::add, {b.conv(x, {4, 4, 1, 1}, {}), pooled});
  const Graph g = b.finish({grown, b.node(Op::hard_swish, {stretched})});
  const std::vector<Tensor> inputs = random_inputs(g);
  expect_as_interpreted(g, inputs);
  EXPECT_EQ(generic_steps(Session(g), inputs), 0);
}

TEST(Session, DoesNotOverwriteWhatAConvolutionStillReads) {
  Builder b;
  const ValueId x = b.node(Op::sigmoid, {b.input({1, 8, 9, 9})});
  // Input and residual are one value, which dies here.
  const ValueId y = b.node(Op::add, {b.conv(x, {8, 8, 3, 3}, {1, 1, 1, 1}), x});
  // A residual that dies, and one that lives on.
  const ValueId u = b.node(Op::tanh, {y});
  const ValueId v = b.node(Op::sigmoid, {y});
  const ValueId w = b.node(Op::add, {b.conv(u, {8, 8, 3, 3}, {1, 1, 1, 1}), v});
  const ValueId last = b.node(Op::mul, {b.node(Op::relu, {w}), b.node(Op::neg, {v})});
  const Graph g = b.finish({b.node(Op::sub, {last, b.node(Op::exp, {w})})});
  expect_as_interpreted(g, random_inputs(g));
}

// y = x + project(filter(expand(x))), and maybe what lies between is put out too.
Graph inverted_residual(const Shape& input, int64_t wide, bool shows_filtered = false) {
  Builder b;
  const ValueId x = b.input(input);
  const auto relu6 = [&](ValueId value) {
    return b.node(Op::clip, {value, b.constant(full({}, 0.0)), b.constant(full({}, 6.0))});
  };
  // Sums of 96 products up to 6 err by some 5e-6; a norm of a tenth of that leaves them far below
  // what is expected of them.
  const auto norm = [&](ValueId value, int64_t count) {
    return b.node(Op::batch_normalization,
                  {value, b.constant(full({count}, 0.1)), b.random_constant({count}),
                   b.random_constant({count}), b.constant(full({count}, 1.0))},
                  {{"epsilon", 1e-5}, {"momentum", 0.9}, {"training_mode", int64_t{0}}});
  };
  const int64_t channels = input[1];
  const ValueId widened = relu6(norm(b.conv(x, {wide, channels, 1, 1}, {}), wide));
  const ValueId filtered =
      relu6(norm(b.conv(widened, {wide, 1, 3, 3}, {1, 1, 1, 1}, {}, wide), wide));
  const ValueId y =
      b.node(Op::add, {x, norm(b.conv(filtered, {channels, wide, 1, 1}, {}), channels)});
  std::vector<ValueId> outputs = {b.node(Op::softmax, {y}, {{"axis", int64_t{1}}})};
  if (shows_filtered) outputs.push_back(filtered);
  return b.finish(outputs);
}

TEST(Session, RunsAnInvertedResidualOfLargePicturesAsOneStep) {
  const Graph g = inverted_residual({1, 16, 60, 56}, 96);
  const std::vector<Tensor> inputs = random_inputs(g);
  expect_as_interpreted(g, inputs);
  const Session session(g);
  const std::vector<StepDescription> steps = session.steps(inputs);
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].algorithm, "chain");
  EXPECT_THAT(steps[0].name, testing::HasSubstr(" to "));
  EXPECT_THAT(steps[0].reason, testing::HasSubstr("in its cache"));
  EXPECT_THAT(steps[0].fused,
              testing::ElementsAre("BatchNormalization", "Clip", "Conv", "BatchNormalization",
                                   "Clip", "Conv", "BatchNormalization", "Add"));
  const double macs = 60.0 * 56 * 96 * (16 + 9 + 16);
  EXPECT_DOUBLE_EQ(steps[0].gflop, 2e-9 * macs);
  // What lies between takes no room in the arena.
  EXPECT_LT(session.arena_bytes(inputs), int64_t{60} * 56 * 96 * 4);
  const Tensor one = [&] {
    const test::OnThreads threads(1);
    return session.run(inputs)[0];
  }();
  for (const int count : {2, 3, 4}) {
    const test::OnThreads threads(count);
    EXPECT_TRUE(bit_equal(session.run(inputs)[0], one)) << count << " threads";
  }
}

TEST(Session, RunsAnInvertedResidualLayerByLayerWhereThatIsAsFastOrItsInsidesAreRead) {
  for (const Graph& g : {inverted_residual({1, 16, 9, 8}, 96),
                         inverted_residual({1, 16, 60, 56}, 96, /*shows_filtered=*/true)}) {
    const std::vector<Tensor> inputs = random_inputs(g);
    expect_as_interpreted(g, inputs);
    EXPECT_EQ(Session(g).steps(inputs).size(), 4U);
  }
}

// A first layer on sound as M5 has it, and a maximum over `window` neighbours.
Graph pooled_sound(int64_t window, bool shows_unpooled = false) {
  Builder b;
  const ValueId x = b.input({1, 1, 16000});
  const ValueId y = b.node(Op::relu, {b.conv(x, {64, 1, 79}, {39, 39}, {4})});
  std::vector<ValueId> outputs = {
      b.node(Op::max_pool, {y}, test::pool_attributes({window}, {window}, {0, 0}))};
  if (shows_unpooled) outputs.push_back(y);
  return b.finish(outputs);
}

TEST(Session, TakesTheMaximumOfNeighboursWhereAConvolutionStoresThem) {
  const Graph g = pooled_sound(4);
  const std::vector<Tensor> inputs = random_inputs(g);
  expect_as_interpreted(g, inputs);
  const Session session(g);
  const std::vector<StepDescription> steps = session.steps(inputs);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].algorithm, "winograd4");
  EXPECT_THAT(steps[0].fused, testing::ElementsAre("Relu", "MaxPool"));
  EXPECT_EQ(steps[0].output, Shape({1, 64, 1000}));
  // Sums of 79 products of numbers around 1; Winograd's errors are some 4 times a plain sum's,
  // 1e-5.
  test::expect_close(session.run(inputs)[0], interpret(g, inputs)[0], 1e-4, 1e-4, "pooled");
}

TEST(Session, PoolsByItselfWhatAConvolutionCannotOrOthersRead) {
  for (const Graph& g : {pooled_sound(3), pooled_sound(4, /*shows_unpooled=*/true)}) {
    const std::vector<Tensor> inputs = random_inputs(g);
    expect_as_interpreted(g, inputs);
    EXPECT_EQ(Session(g).steps(inputs).size(), 2U);
  }
}

// Every operator with a step of its own, against the interpreter.
TEST(Session, HasStepsForWhatConvolutionalNetsUse) {
  const auto check = [](const char* what, auto&& build) {
    SCOPED_TRACE(what);
    Builder b;
    const ValueId x = b.input({2, 6, 7, 8});
    const ValueId inner = b.node(Op::abs, {x});
    const Graph g = b.finish({b.node(Op::neg, {build(b, inner)})});
    const std::vector<Tensor> inputs = random_inputs(g);
    expect_as_interpreted(g, inputs);
    EXPECT_EQ(generic_steps(Session(g), inputs), 0);
  };
  for (const Op op : {Op::relu, Op::sigmoid, Op::tanh, Op::hard_swish, Op::exp, Op::sqrt})
    check(std::string(graph::name_of(op)).c_str(),
          [&](Builder& b, ValueId x) { return b.node(op, {x}); });
  check("LeakyRelu", [](Builder& b, ValueId x) {
    return b.node(Op::leaky_relu, {x}, {{"alpha", 0.1}});
  });
  check("Gelu", [](Builder& b, ValueId x) {
    return b.node(Op::gelu, {x}, {{"approximate", std::string("tanh")}});
  });
  check("Clip", [](Builder& b, ValueId x) {
    return b.node(Op::clip, {x, b.constant(full({}, 0.2)), b.constant(full({}, 0.7))});
  });
  check("Pow", [](Builder& b, ValueId x) {
    return b.node(Op::pow, {x, b.constant(full({}, 1.7))});
  });
  check("PRelu", [](Builder& b, ValueId x) {
    return b.node(Op::prelu, {b.node(Op::neg, {x}), b.random_constant({6, 1, 1})});
  });
  check("Add, stretched", [](Builder& b, ValueId x) {
    const ValueId rows = b.random_constant({7, 1});
    const ValueId box = b.random_constant({6, 7, 8});
    return b.node(Op::sub, {box, b.node(Op::add, {rows, b.node(Op::mul, {x, x})})});
  });
  check("Mul by channels", [](Builder& b, ValueId x) {
    return b.node(Op::mul, {x, b.node(Op::global_max_pool, {x})});
  });
  check("BatchNormalization", [](Builder& b, ValueId x) { return b.batch_norm(x, 6); });
  check("AveragePool", [](Builder& b, ValueId x) {
    return b.node(Op::average_pool, {x}, test::pool_attributes({3, 2}, {2, 1}, {1, 0, 1, 1}));
  });
  check("MaxPool", [](Builder& b, ValueId x) {
    return b.node(Op::max_pool, {x}, test::pool_attributes({2, 3}, {1, 2}, {0, 1, 1, 0}));
  });
  for (const int64_t axis : {0, 1, 2, 3}) {
    check("Softmax", [&](Builder& b, ValueId x) {
      return b.node(Op::log_softmax, {b.node(Op::softmax, {x}, {{"axis", axis}})},
                    {{"axis", axis - 4}});
    });
    check("Concat", [&](Builder& b, ValueId x) {
      return b.node(Op::concat, {x, b.node(Op::neg, {x}), x}, {{"axis", axis}});
    });
  }
  check("Reshape", [](Builder& b, ValueId x) {
    const ValueId shuffled =
        b.node(Op::reshape, {x, b.constant(int64s({2, 2, 3, 7, 8}))}, {{"allowzero", int64_t{0}}});
    const ValueId turned = b.node(Op::transpose, {shuffled}, {{"perm", Ints{0, 2, 1, 3, 4}}});
    return b.node(Op::reshape, {turned, b.constant(int64s({0, 6, -1}))},
                  {{"allowzero", int64_t{0}}});
  });
  check("Squeeze", [](Builder& b, ValueId x) {
    const ValueId pooled = b.node(Op::global_average_pool, {x});
    return b.node(Op::squeeze, {pooled, b.constant(int64s({2, -1}))});
  });
  check("Slice", [](Builder& b, ValueId x) {
    return b.node(Op::slice, {x, b.constant(int64s({1, -1})), b.constant(int64s({6, -9})),
                              b.constant(int64s({2, 3})), b.constant(int64s({2, -3}))});
  });
  const auto resize = [](const char* mode, const char* coordinates, const ValueId& scales,
                         const ValueId& sizes, Builder& b, ValueId x) {
    return b.node(Op::resize, {x, graph::kNoValue, scales, sizes},
                  {{"antialias", int64_t{0}},
                   {"axes", Ints{}},
                   {"cubic_coeff_a", -0.75},
                   {"coordinate_transformation_mode", std::string(coordinates)},
                   {"exclude_outside", int64_t{0}},
                   {"extrapolation_value", 0.0},
                   {"keep_aspect_ratio_policy", std::string("stretch")},
                   {"mode", std::string(mode)},
                   {"nearest_mode", std::string("floor")}});
  };
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    check("Resize by scales", [&](Builder& b, ValueId x) {
      const ValueId scales = b.constant(from_values({1.0F, 1.0F, 2.0F, 1.5F}, {4}));
      return resize(mode, "asymmetric", scales, graph::kNoValue, b, x);
    });
    check("Resize to sizes", [&](Builder& b, ValueId x) {
      const ValueId sizes = b.constant(int64s({2, 6, 5, 19}));
      return resize(mode, "half_pixel", graph::kNoValue, sizes, b, x);
    });
  }
  for (const char* mode : {"constant", "reflect", "edge"})
    check("Pad", [&](Builder& b, ValueId x) {
      return b.node(Op::pad,
                    {x, b.constant(int64s({0, 0, 2, 1, 0, 0, -1, 3})), b.constant(full({}, 0.5))},
                    {{"mode", std::string(mode)}});
    });
  for (const char* mode : {"DCR", "CRD"})
    check("DepthToSpace", [&](Builder& b, ValueId x) {
      const ValueId wide = b.conv(x, {12, 6, 1, 1}, {});
      return b.node(Op::depth_to_space, {wide},
                    {{"blocksize", int64_t{2}}, {"mode", std::string(mode)}});
    });
  check("SpaceToDepth", [](Builder& b, ValueId x) {
    const ValueId even = b.conv(x, {5, 6, 2, 1}, {});
    return b.node(Op::space_to_depth, {even}, {{"blocksize", int64_t{2}}});
  });
  check("InstanceNormalization", [](Builder& b, ValueId x) {
    return b.node(Op::instance_normalization, {x, b.random_constant({6}), b.random_constant({6})},
                  {{"epsilon", 1e-5}});
  });
  check("LayerNormalization", [](Builder& b, ValueId x) {
    return b.node(Op::layer_normalization, {x, b.random_constant({8}), b.random_constant({8})},
                  {{"axis", int64_t{-1}}, {"epsilon", 1e-5}, {"stash_type", int64_t{1}}});
  });
  for (const int64_t groups : {1, 2, 6})
    check("GroupNormalization", [&](Builder& b, ValueId x) {
      return b.node(Op::group_normalization, {x, b.random_constant({6}), b.random_constant({6})},
                    {{"epsilon", 1e-5}, {"num_groups", groups}, {"stash_type", int64_t{1}}});
    });
  // Of matrices side by side, stretched over the batch, and of two axes.
  for (const Shape& other : {Shape{2, 6, 8, 5}, Shape{6, 8, 3}, Shape{2, 1, 8, 20}, Shape{8, 4}})
    check("MatMul", [&](Builder& b, ValueId x) {
      const ValueId y = b.node(Op::neg, {b.input(other)});
      return b.node(Op::matmul, {x, y});
    });
  check("MatMul with a constant", [](Builder& b, ValueId x) {
    const ValueId product = b.node(Op::matmul, {x, b.random_constant({8, 11})});
    const ValueId rows = b.node(Op::reduce_sum, {product, b.constant(int64s({2, 3}))},
                                {{"keepdims", int64_t{0}}, {"noop_with_empty_axes", int64_t{0}}});
    return b.node(Op::matmul, {b.node(Op::neg, {rows}), b.random_constant({6, 9})});
  });
  check("MatMul of a wider batch", [](Builder& b, ValueId x) {
    const ValueId y = b.node(Op::neg, {b.input({3, 2, 6, 9, 7})});
    return b.node(Op::matmul, {y, x});
  });
  check("LRN", [](Builder& b, ValueId x) {
    return b.node(Op::lrn, {x},
                  {{"size", int64_t{4}}, {"alpha", 0.3}, {"beta", 0.75}, {"bias", 1.0}});
  });
  for (const Ints& axes : {Ints{2, 3}, Ints{3}, Ints{-1, 0, 2}, Ints{0, 1, 2, 3}, Ints{3, 1}})
    for (const int64_t keep : {0, 1})
      check("ReduceMean", [&](Builder& b, ValueId x) {
        const auto mean = [&](Op op, ValueId from, const Ints& over, int64_t kept) {
          return b.node(op, {from, b.constant(int64s(over))},
                        {{"keepdims", kept}, {"noop_with_empty_axes", int64_t{0}}});
        };
        return mean(Op::reduce_sum, mean(Op::reduce_mean, x, axes, keep), {}, 0);
      });
  check("Elu", [](Builder& b, ValueId x) {
    return b.node(Op::elu, {b.node(Op::neg, {x})}, {{"alpha", 0.7}});
  });
  for (const Op op : {Op::softplus, Op::mish, Op::erf})
    check(std::string(graph::name_of(op)).c_str(),
          [&](Builder& b, ValueId x) { return b.node(op, {x}); });
  check("ConvTranspose", [](Builder& b, ValueId x) {
    graph::Attributes attributes = test::conv_attributes({1, 1, 0, 0}, {2, 2}, 3);
    attributes.set("output_padding", Ints{1, 0});
    attributes.set("output_shape", Ints{});
    return b.node(Op::conv_transpose, {x, b.random_constant({6, 2, 3, 3}), b.random_constant({6})},
                  attributes);
  });
}

TEST(Session, SharesWeightsThatAreEqual) {
  const Graph g = residual_net({1, 3, 32, 32});
  const std::vector<Tensor> inputs = random_inputs(g);
  const Session first(g);
  static_cast<void>(first.run(inputs));
  const auto weights = [](const Session& session, std::span<const Tensor> given) {
    int64_t bytes = 0;
    for (const StepDescription& step : session.steps(given)) bytes += step.weight_bytes;
    return static_cast<std::size_t>(bytes);
  };
  const std::size_t before = allocated_bytes();
  const Session second(first.graph());
  static_cast<void>(second.run(inputs));
  const std::size_t grown = allocated_bytes() - before;
  // The second has an arena, and small things, but no packed weights.
  EXPECT_LT(grown,
            weights(second, inputs) / 2 + static_cast<std::size_t>(second.arena_bytes(inputs)));
}

TEST(Arena, LetsValuesShareMemoryUnlessTheyLiveAtTheSameTime) {
  std::vector<Lifetime> values;
  Generator random(1);
  for (int64_t i = 0; i < 60; ++i) {
    const auto size = static_cast<int64_t>(1 + 500 * rand({}, random).item());
    values.push_back({.floats = size, .first = i / 2, .last = i / 2 + 1 + i % 5});
  }
  const int64_t total = place(values);
  int64_t sum = 0;
  for (const Lifetime& a : values) {
    sum += a.floats;
    EXPECT_EQ(a.offset % 16, 0);
    EXPECT_LE(a.offset + a.floats, total);
    for (const Lifetime& b : values) {
      const bool both = &a != &b && a.first <= b.last && b.first <= a.last;
      EXPECT_TRUE(!both || a.offset + a.floats <= b.offset || b.offset + b.floats <= a.offset);
    }
  }
  EXPECT_LT(total, sum / 2);
}

}  // namespace
}  // namespace convkit::infer
