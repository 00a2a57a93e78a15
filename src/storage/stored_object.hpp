#pragma once

#include <cstdint>
#include <string>

#include "base/tensor.hpp"

namespace cairn::storage {

// What is said of an object in a file that may come from anybody, whoever parsed it.

/// Throws `damaged`: "'<path>' <why>".
[[noreturn]] void refuse_object(const std::string& path, const std::string& why);

/// Bytes of so many elements; refused where they cannot be in any file.
std::uint64_t checked_bytes(const Shape& shape, DType dtype, const std::string& path);

}  // namespace cairn::storage
