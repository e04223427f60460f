#include "convkit/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/base/scope.h"

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace convkit {
namespace {

thread_local bool inside_task = false;
thread_local ThreadPool* chosen_pool = nullptr;

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

// How long a thread looks out for what it waits for before it lets the system take its processor:
// longer than the serial work between two layers, shorter than anybody else on the machine notices.
constexpr std::chrono::microseconds kLookOut(100);

// True as soon as `ready` is; false when that took too long.
template <class F>
bool comes_soon(bool look_out, F ready) {
  if (ready()) return true;
  if (!look_out) return false;
  const auto end = std::chrono::steady_clock::now() + kLookOut;
  do {
    for (int i = 0; i < 32; ++i) {
#if defined(__x86_64__) || defined(__i386__)
      _mm_pause();
#endif
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// One run(): what it does, and what went wrong.
struct Job {
  TaskRef task;
  const std::string& path;  // of the layer that called, for errors of the tasks
  std::mutex mutex;
  int64_t failed_task = -1;
  std::exception_ptr failure;

  void run_one(int64_t index) {
    try {
      task(index);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (failed_task < 0 || index < failed_task) {
        failed_task = index;
        failure = std::current_exception();
      }
    }
  }
};

// Consecutive tasks that one thread takes first; the others help when they have done theirs. The
// same thread so meets the same part of a batch in layer after layer, and finds it in its cache.
struct alignas(64) Share {
  std::atomic<int64_t> next = 0;
  int64_t end = 0;
};

// The gate to the current job: its number, whether workers may still come in, how many are inside.
// A worker that is late finds the gate shut; nobody waits for one that never came.
constexpr uint64_t kOneInside = 1;
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kJob = uint64_t{1} << 32;
bool is_open(uint64_t gate) { return (gate & kOpen) != 0; }
uint64_t inside(uint64_t gate) { return gate & (kOpen - 1); }
uint64_t job_number(uint64_t gate) { return gate / kJob; }

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int threads)
      : shares(static_cast<std::size_t>(threads)), look_out(threads <= processors()) {}

  void run(int64_t count, TaskRef task);
  void work(std::size_t me);
  void take_shares(std::size_t me);
  void stop();

  std::vector<Share> shares;  // one per thread, the caller's first
  const bool look_out;        // a gain only while each thread has a processor of its own
  std::vector<std::thread> workers;
  std::mutex callers;  // one at a time
  Job* job = nullptr;  // written while the gate is shut and nobody inside
  alignas(64) std::atomic<uint64_t> gate = 0;
  alignas(64) std::atomic<uint32_t> asleep = 0;  // workers
  std::atomic<uint32_t> bell = 0;                // wakes them
  std::atomic<uint32_t> leavings = 0;            // wakes the caller
  std::atomic<bool> stopping = false;
};

void ThreadPool::Impl::take_shares(std::size_t me) {
  const FlushSubnormals flush;
  const Scope scope(job->path);
  const bool outer = std::exchange(inside_task, true);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    Share& share = shares[(me + i) % shares.size()];
    for (;;) {
      const int64_t task = share.next.fetch_add(1, std::memory_order_relaxed);
      if (task >= share.end) break;
      job->run_one(task);
    }
  }
  inside_task = outer;
}

void ThreadPool::Impl::work(std::size_t me) {
  uint64_t served = 0;
  const auto has_news = [&] {
    const uint64_t now = gate.load();
    return stopping || (is_open(now) && job_number(now) != served);
  };
  for (;;) {
    if (!comes_soon(look_out, has_news)) {
      // Either the caller sees that somebody sleeps, or the last look here sees its job.
      const uint32_t rung = bell;
      ++asleep;
      if (!has_news()) bell.wait(rung);
      --asleep;
      continue;
    }
    if (stopping) return;
    uint64_t now = gate;
    if (!is_open(now) || !gate.compare_exchange_strong(now, now + kOneInside)) continue;
    served = job_number(now);
    take_shares(me);
    now = gate.fetch_sub(kOneInside) - kOneInside;
    if (!is_open(now) && inside(now) == 0) {
      ++leavings;
      leavings.notify_one();
    }
  }
}

void ThreadPool::Impl::run(int64_t count, TaskRef task) {
  const std::lock_guard lock(callers);
  Job current{.task = task,
              .path = Scope::current_path(),
              .mutex = {},
              .failed_task = -1,
              .failure = nullptr};
  job = &current;
  const auto threads = static_cast<int64_t>(shares.size());
  for (int64_t i = 0; i < threads; ++i) {
    Share& share = shares[static_cast<std::size_t>(i)];
    share.next.store(count * i / threads, std::memory_order_relaxed);
    share.end = count * (i + 1) / threads;
  }
  gate = (gate & ~kOpen) + kJob + kOpen;
  if (asleep > 0) {
    ++bell;
    bell.notify_all();
  }
  take_shares(0);
  gate.fetch_and(~kOpen);
  const auto all_left = [&] { return inside(gate) == 0; };
  while (!comes_soon(look_out, all_left)) {
    const uint32_t seen = leavings;
    if (!all_left()) leavings.wait(seen);
  }
  if (current.failure) std::rethrow_exception(current.failure);
}

void ThreadPool::Impl::stop() {
  stopping = true;
  ++bell;
  bell.notify_all();
  for (std::thread& worker : workers) worker.join();
}

ThreadPool::ThreadPool(int threads) {
  CONVKIT_CHECK(threads >= 1 && threads <= 4096, ValueError, "thread pool: threads (", threads,
                ") must be between 1 and 4096");
  impl_ = std::make_unique<Impl>(threads);
  try {
    for (int i = 1; i < threads; ++i)
      impl_->workers.emplace_back(
          [pool = impl_.get(), i] { pool->work(static_cast<std::size_t>(i)); });
  } catch (const std::system_error&) {
    impl_->stop();
    throw ValueError(
        message("thread pool: the system gave no ", threads, " threads; ask for fewer"));
  }
}

ThreadPool::~ThreadPool() { impl_->stop(); }

int ThreadPool::size() const { return static_cast<int>(impl_->shares.size()); }

void ThreadPool::run(int64_t count, TaskRef task) {
  if (count <= 0) return;
  if (impl_->workers.empty() || count == 1 || inside_task) return run_serially(count, task);
  impl_->run(count, task);
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
