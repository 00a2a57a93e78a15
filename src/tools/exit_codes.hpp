#pragma once

#include <stdexcept>

#include "cairn/error.hpp"

namespace cairn::tools {

// What `cairn` exits with; docs/tools.md promises them.
inline constexpr int kExitGood = 0;
inline constexpr int kExitDamaged = 1;  ///< something that was looked at is damaged
inline constexpr int kExitUsage = 2;
inline constexpr int kExitError = 3;  ///< not found, not readable, or anything else
inline constexpr int kExitKey = 4;    ///< a wrong key, or none where one is needed

/// The command was called wrongly.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline int exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::damaged:
      return kExitDamaged;
    case ErrorCode::invalid_argument:
      return kExitUsage;
    case ErrorCode::wrong_key:
      return kExitKey;
    default:
      return kExitError;
  }
}

}  // namespace cairn::tools
