#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>

#include "cairn/error.hpp"

namespace cairn::testing {

/// Runs `call`, which must throw an `Error` of `code` whose message holds all of `parts`.
template <class Call>
void expect_error(ErrorCode code, std::initializer_list<const char*> parts, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    for (const char* part : parts) EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
  }
}

}  // namespace cairn::testing
