#pragma once

namespace cairn::testing {

/// How much longer "in no time" may take in this build: with a sanitizer everything is slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr double kSlowness = 30;
#else
inline constexpr double kSlowness = 1;
#endif

}  // namespace cairn::testing
