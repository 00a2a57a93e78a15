#pragma once

#include <stdexcept>

namespace bench {

// Both are thrown by every rank alike, so that rank 0 speaks for all and all leave together.

/// The program was called wrongly: exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// It was called well and the answer is no: exit code 1.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

}  // namespace bench
