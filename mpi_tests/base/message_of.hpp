#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "cairn/error.hpp"

namespace cairn::testing {

/// The message of the `Error` that `action` throws, which must be of `code`; "" where it throws
/// none.
template <class Action>
std::string message_of(ErrorCode code, Action&& action) {
  try {
    std::forward<Action>(action)();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    return error.what();
  }
  return "";
}

}  // namespace cairn::testing
