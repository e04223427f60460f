#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "convkit/base/export.h"

/// Work on several threads, with the same bits whatever their number: the caller cuts the work
/// into tasks by the *shape* of the problem alone, each task writes its own results, and sums that
/// cross tasks are taken afterwards in task order.
namespace convkit {

/// A reference to a callable that outlives the call it is passed to.
class TaskRef {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, TaskRef>)
      TaskRef(F&& f)  // NOLINT(google-explicit-constructor): a lambda is the normal argument
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, int64_t task) {
          (*static_cast<std::remove_reference_t<F>*>(object))(task);
        }) {}
  void operator()(int64_t task) const { call_(object_, task); }

 private:
  void* object_;
  void (*call_)(void*, int64_t);
};

/// A set of worker threads. They run with subnormal floats flushed to zero while they work for
/// convkit; the caller's own floating-point mode is restored. After a call they stay awake for a
/// tenth of a millisecond, so that the next layer starts at once, then sleep; a call does not wait
/// for a worker that has not begun.
class CONVKIT_API ThreadPool {
 public:
  /// `threads` ≥ 1, the calling thread included; throws ValueError otherwise.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  /// Runs task(0) … task(count − 1), in any order, on all threads; returns when all are done. If
  /// tasks throw, the exception of the lowest-numbered one that threw is rethrown.
  void run(int64_t count, TaskRef task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Number of threads convkit's own pool uses: by default the number of processors this process may
/// run on, or the environment variable CONVKIT_THREADS. Setting it while work is under way on
/// another thread waits for that work. n ≥ 1; throws ValueError otherwise.
CONVKIT_API int num_threads();
CONVKIT_API void set_num_threads(int n);

/// While it lives, this thread's work runs on `pool` (of the host application, say) instead.
class CONVKIT_API UseThreadPool {
 public:
  explicit UseThreadPool(ThreadPool& pool);
  ~UseThreadPool();
  UseThreadPool(const UseThreadPool&) = delete;
  UseThreadPool& operator=(const UseThreadPool&) = delete;

 private:
  ThreadPool* outer_;
};

/// Runs task(0) … task(count − 1) on the current pool. A parallel_for inside a task runs serially.
CONVKIT_API void parallel_for(int64_t count, TaskRef task);

/// Calls range(begin, end) for consecutive pieces of [0, total), each of `grain` (the last maybe
/// less). `grain` must depend on the shape only.
template <class F>
void parallel_ranges(int64_t total, int64_t grain, F&& range) {
  if (grain < 1) grain = 1;
  parallel_for((total + grain - 1) / grain, [&](int64_t task) {
    const int64_t begin = task * grain;
    range(begin, begin + grain < total ? begin + grain : total);
  });
}

/// Flushes subnormal results and inputs to zero on this thread while it lives, then restores the
/// mode it found. Every convkit operation runs under one: subnormals cost up to 100 times more.
class CONVKIT_API FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned saved_;
};

}  // namespace convkit
