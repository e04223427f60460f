#include "convkit/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"

namespace convkit::data {
namespace {

// Streams of the loader's generator.
constexpr uint64_t kOrderStream = 1;
constexpr uint64_t kTransformStream = 2;
constexpr int kMaxWorkers = 256;

}  // namespace

struct DataLoader::Impl {
  DatasetPtr dataset;
  LoaderOptions options;
  Pipeline pipeline;
  Shape sample_shape;
  int64_t batches = 0;

  // A made batch, or the error that came instead.
  struct Result {
    Batch batch;
    std::exception_ptr error;
  };
  using Order = std::shared_ptr<const std::vector<int64_t>>;

  std::mutex mutex;
  std::condition_variable work;   // for workers: there is a batch to make, or the end
  std::condition_variable ready;  // for next(): a batch is made
  bool stopping = false;
  int64_t run = 0;  // counts start(): results of an older one are dropped
  int64_t epoch = 0;
  Order order;
  int64_t to_make = 0;
  int64_t to_give = 0;
  std::map<int64_t, Result> made;
  std::vector<std::thread> threads;

  bool has_work() const {
    return order && to_make < batches &&
           to_make < to_give + std::max<int64_t>(options.prefetch, options.workers);
  }

  Batch make(int64_t index, int64_t of_epoch, const std::vector<int64_t>& indices,
             Sample& sample) const {
    const int64_t begin = index * options.batch_size;
    const int64_t end = std::min(begin + options.batch_size, std::ssize(indices));
    Batch batch;
    batch.epoch = of_epoch;
    batch.index = index;
    batch.samples.assign(indices.begin() + begin, indices.begin() + end);
    batch.images = Tensor(sample_shape.with_inserted(0, end - begin), DType::float32);
    batch.labels = Tensor({end - begin}, DType::int64);
    const auto item = static_cast<std::size_t>(sample_shape.numel());
    float* images = batch.images.mutable_data<float>();
    auto* labels = batch.labels.mutable_data<int64_t>();
    const Generator generator =
        Generator(options.seed).split(kTransformStream).split(static_cast<uint64_t>(of_epoch));
    for (const int64_t at : batch.samples) {
      dataset->read(at, sample);
      *labels++ = sample.label;
      pipeline.run(sample, generator.split(static_cast<uint64_t>(at)), {images, item});
      images += item;
    }
    return batch;
  }

  Result make_or_fail(int64_t index, int64_t of_epoch, const std::vector<int64_t>& indices,
                      Sample& sample) const {
    try {
      return {make(index, of_epoch, indices, sample), nullptr};
    } catch (...) {
      return {{}, std::current_exception()};
    }
  }

  void work_until_stopped() {
    Sample sample;
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [&] { return stopping || has_work(); });
      if (stopping) return;
      const int64_t index = to_make++;
      const int64_t my_run = run;
      const int64_t my_epoch = epoch;
      const Order my_order = order;
      lock.unlock();
      Result result = make_or_fail(index, my_epoch, *my_order, sample);
      lock.lock();
      if (my_run != run) continue;
      made.emplace(index, std::move(result));
      ready.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    work.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
};

DataLoader::DataLoader(DatasetPtr dataset, const LoaderOptions& options, Pipeline pipeline)
    : impl_(std::make_unique<Impl>()) {
  CONVKIT_CHECK(dataset != nullptr, ValueError, "DataLoader: there is no data set");
  CONVKIT_CHECK(options.batch_size >= 1, ValueError, "DataLoader: batch_size (", options.batch_size,
                ") must be at least 1");
  CONVKIT_CHECK(options.workers >= 0 && options.workers <= kMaxWorkers, ValueError,
                "DataLoader: workers (", options.workers, ") must be 0 to ", kMaxWorkers);
  CONVKIT_CHECK(options.prefetch >= 1, ValueError, "DataLoader: prefetch (", options.prefetch,
                ") must be at least 1");
  const int64_t size = dataset->size();
  impl_->batches =
      options.drop_last ? size / options.batch_size : ceil_div(size, options.batch_size);
  CONVKIT_CHECK(impl_->batches > 0, ValueError, "DataLoader: ", dataset->name(), " has ", size,
                " samples, which make no ", options.drop_last ? "full " : "", "batch of ",
                options.batch_size, options.drop_last ? "; use a smaller batch" : "");
  impl_->sample_shape = pipeline.output_shape(dataset->sample_shape());
  impl_->dataset = std::move(dataset);
  impl_->options = options;
  impl_->pipeline = std::move(pipeline);
  try {
    for (int i = 0; i < options.workers; ++i)
      impl_->threads.emplace_back([impl = impl_.get()] { impl->work_until_stopped(); });
  } catch (...) {  // no more threads: those that run must end before they lose what they work on
    impl_->stop();
    throw;
  }
}

DataLoader::~DataLoader() { impl_->stop(); }

const Dataset& DataLoader::dataset() const { return *impl_->dataset; }
const Pipeline& DataLoader::pipeline() const { return impl_->pipeline; }
const LoaderOptions& DataLoader::options() const { return impl_->options; }
int64_t DataLoader::batches() const { return impl_->batches; }
const Shape& DataLoader::sample_shape() const { return impl_->sample_shape; }

int64_t DataLoader::samples() const {
  const int64_t size = impl_->dataset->size();
  return impl_->options.drop_last ? impl_->batches * impl_->options.batch_size : size;
}

std::vector<int64_t> DataLoader::order(int64_t epoch) const {
  std::vector<int64_t> indices(static_cast<std::size_t>(impl_->dataset->size()));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  if (!impl_->options.shuffle) return indices;
  Generator generator =
      Generator(impl_->options.seed).split(kOrderStream).split(static_cast<uint64_t>(epoch));
  for (std::size_t i = indices.size(); i > 1; --i)  // Fisher and Yates
    std::swap(indices[i - 1], indices[generator.below(i)]);
  return indices;
}

void DataLoader::start(int64_t epoch, int64_t first) {
  CONVKIT_CHECK(epoch >= 0, ValueError, "DataLoader: epoch (", epoch, ") cannot be negative");
  CONVKIT_CHECK(first >= 0 && first <= batches(), ValueError, "DataLoader: there is no batch ",
                first, " in an epoch of ", batches());
  auto indices = std::make_shared<const std::vector<int64_t>>(order(epoch));
  {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->run;
    impl_->epoch = epoch;
    impl_->order = std::move(indices);
    impl_->to_make = first;
    impl_->to_give = first;
    impl_->made.clear();
  }
  impl_->work.notify_all();
}

std::optional<Batch> DataLoader::next() {
  Impl& impl = *impl_;
  std::unique_lock lock(impl.mutex);
  if (!impl.order || impl.to_give >= impl.batches) return std::nullopt;
  if (impl.options.workers == 0 && !impl.made.contains(impl.to_give)) {
    Sample sample;
    impl.made.emplace(impl.to_give,
                      impl.make_or_fail(impl.to_give, impl.epoch, *impl.order, sample));
  }
  impl.ready.wait(lock, [&] { return impl.made.contains(impl.to_give); });
  const auto found = impl.made.find(impl.to_give);
  if (found->second.error) std::rethrow_exception(found->second.error);
  Batch batch = std::move(found->second.batch);
  impl.made.erase(found);
  ++impl.to_give;
  lock.unlock();
  impl.work.notify_one();
  return batch;
}

}  // namespace convkit::data
