#pragma once

#include <cstddef>
#include <span>

namespace cairn::codec {

/// Fills `bytes` from OpenSSL's random generator.
void fill_random(std::span<std::byte> bytes);

}  // namespace cairn::codec
