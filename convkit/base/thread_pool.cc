#include "convkit/base/thread_pool.h"

#include <pthreadpool.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "convkit/base/error.h"
#include "convkit/base/scope.h"

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define CONVKIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CONVKIT_TSAN 1
#endif
#endif
#ifdef CONVKIT_TSAN
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace convkit {
namespace {

thread_local bool inside_task = false;
thread_local ThreadPool* chosen_pool = nullptr;

// pthreadpool is built without ThreadSanitizer, which therefore cannot see its hand-overs.
void happens_before(void* address) {
#ifdef CONVKIT_TSAN
  __tsan_release(address);
#else
  (void)address;
#endif
}
void happens_after(void* address) {
#ifdef CONVKIT_TSAN
  __tsan_acquire(address);
#else
  (void)address;
#endif
}

struct Job {
  TaskRef task;
  const std::string& path;  // of the layer that called, for errors of the tasks
  std::mutex mutex;
  int64_t failed_task = -1;
  std::exception_ptr failure;

  void run_one(int64_t index) {
    happens_after(this);
    const FlushSubnormals flush;
    const Scope scope(path);
    const bool outer = std::exchange(inside_task, true);
    try {
      task(index);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (failed_task < 0 || index < failed_task) {
        failed_task = index;
        failure = std::current_exception();
      }
    }
    inside_task = outer;
    happens_before(this);
  }
};

int processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return 1;
}

int default_threads() {
  if (const char* wanted = std::getenv("CONVKIT_THREADS")) {
    const int n = std::atoi(wanted);
    if (n >= 1) return n;
  }
  return processors();
}

struct DefaultPool {
  std::shared_mutex mutex;  // held shared while the pool works, exclusively while it is replaced
  std::unique_ptr<ThreadPool> pool;
};

DefaultPool& default_pool() {
  static DefaultPool* const instance = new DefaultPool;  // workers may outlive static destructors
  return *instance;
}

void run_serially(int64_t count, const TaskRef& task) {
  const FlushSubnormals flush;
  for (int64_t i = 0; i < count; ++i) task(i);
}

}  // namespace

struct ThreadPool::Impl {
  int threads = 1;
  // Workers that stay awake between calls are a gain only while each has a processor of its own.
  uint32_t flags = 0;
  pthreadpool_t pool = nullptr;
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  CONVKIT_CHECK(threads >= 1 && threads <= 4096, ValueError, "thread pool: threads (", threads,
                ") must be between 1 and 4096");
  impl_->threads = threads;
  if (threads > processors()) impl_->flags = PTHREADPOOL_FLAG_YIELD_WORKERS;
  if (threads > 1) {
    impl_->pool = pthreadpool_create(static_cast<std::size_t>(threads));
    CONVKIT_CHECK(impl_->pool != nullptr, ValueError, "thread pool: the system gave no ", threads,
                  " threads; ask for fewer");
  }
}

ThreadPool::~ThreadPool() {
  if (impl_->pool != nullptr) pthreadpool_destroy(impl_->pool);
}

int ThreadPool::size() const { return impl_->threads; }

void ThreadPool::run(int64_t count, TaskRef task) {
  if (count <= 0) return;
  if (impl_->pool == nullptr || count == 1 || inside_task) return run_serially(count, task);
  Job job{.task = task,
          .path = Scope::current_path(),
          .mutex = {},
          .failed_task = -1,
          .failure = nullptr};
  happens_before(&job);
  pthreadpool_parallelize_1d(
      impl_->pool,
      [](void* context, std::size_t index) {
        static_cast<Job*>(context)->run_one(static_cast<int64_t>(index));
      },
      &job, static_cast<std::size_t>(count), impl_->flags);
  happens_after(&job);
  if (job.failure) std::rethrow_exception(job.failure);
}

void ThreadPool::rest() {
  if (impl_->pool == nullptr || inside_task) return;
  // Workers do as the flags of the last call say; a call needs two tasks to reach them at all.
  pthreadpool_parallelize_1d(
      impl_->pool, [](void*, std::size_t) {}, nullptr, static_cast<std::size_t>(impl_->threads),
      PTHREADPOOL_FLAG_YIELD_WORKERS);
}

int num_threads() {
  if (chosen_pool != nullptr) return chosen_pool->size();
  DefaultPool& shared = default_pool();
  {
    // Shared, so that a task may ask: its caller holds the mutex while the pool works.
    const std::shared_lock lock(shared.mutex);
    if (shared.pool) return shared.pool->size();
  }
  const std::lock_guard lock(shared.mutex);
  if (!shared.pool) shared.pool = std::make_unique<ThreadPool>(default_threads());
  return shared.pool->size();
}

void set_num_threads(int n) {
  CONVKIT_CHECK(!inside_task, ValueError,
                "set_num_threads: called by a task of the pool, which would wait for itself");
  auto fresh = std::make_unique<ThreadPool>(n);
  DefaultPool& shared = default_pool();
  const std::lock_guard lock(shared.mutex);
  shared.pool = std::move(fresh);
}

UseThreadPool::UseThreadPool(ThreadPool& pool) : outer_(chosen_pool) { chosen_pool = &pool; }
UseThreadPool::~UseThreadPool() { chosen_pool = outer_; }

void parallel_for(int64_t count, TaskRef task) {
  if (count <= 0) return;
  if (count == 1 || inside_task) return run_serially(count, task);
  if (chosen_pool != nullptr) return chosen_pool->run(count, task);
  DefaultPool& shared = default_pool();
  std::shared_lock lock(shared.mutex);
  if (!shared.pool) {
    lock.unlock();
    num_threads();  // creates it
    lock.lock();
  }
  shared.pool->run(count, task);
}

void rest_threads() {
  if (chosen_pool != nullptr) return chosen_pool->rest();
  DefaultPool& shared = default_pool();
  const std::shared_lock lock(shared.mutex);
  if (shared.pool) shared.pool->rest();
}

#if defined(__x86_64__) || defined(__i386__)
FlushSubnormals::FlushSubnormals() : saved_(_mm_getcsr()) {
  constexpr unsigned kFlushToZero = 0x8000;
  constexpr unsigned kDenormalsAreZero = 0x0040;
  const unsigned wanted = saved_ | kFlushToZero | kDenormalsAreZero;
  if (wanted != saved_) _mm_setcsr(wanted);
}
FlushSubnormals::~FlushSubnormals() {
  if (_mm_getcsr() != saved_) _mm_setcsr(saved_);
}
#else
FlushSubnormals::FlushSubnormals() : saved_(0) {}
FlushSubnormals::~FlushSubnormals() = default;
#endif

}  // namespace convkit
