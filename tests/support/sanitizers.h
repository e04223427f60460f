#pragma once

/// What the build checks at run time: CONVKIT_ADDRESS_SANITIZED, CONVKIT_THREAD_SANITIZED, and
/// CONVKIT_SANITIZED for either.
#if defined(__SANITIZE_ADDRESS__)
#define CONVKIT_ADDRESS_SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define CONVKIT_THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONVKIT_ADDRESS_SANITIZED 1
#elif __has_feature(thread_sanitizer)
#define CONVKIT_THREAD_SANITIZED 1
#endif
#endif
#if defined(CONVKIT_ADDRESS_SANITIZED) || defined(CONVKIT_THREAD_SANITIZED)
#define CONVKIT_SANITIZED 1
#endif

namespace convkit::test {

/// Under AddressSanitizer freed memory is not kept, so that it sees every misuse.
#ifdef CONVKIT_ADDRESS_SANITIZED
inline constexpr bool kCachesMemory = false;
#else
inline constexpr bool kCachesMemory = true;
#endif

}  // namespace convkit::test
