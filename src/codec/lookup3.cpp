#include "codec/lookup3.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace cairn::codec {
namespace {

constexpr std::size_t kStep = 12;

struct Sums {
  std::uint32_t a;
  std::uint32_t b;
  std::uint32_t c;

  /// Adds `kStep` bytes as three little endian numbers.
  void add(std::span<const std::byte> bytes) noexcept {
    std::array<std::uint32_t, 3> words{};
    for (std::size_t i = 0; i < kStep; ++i) {
      words[i / 4] |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * (i % 4));
    }
    a += words[0];
    b += words[1];
    c += words[2];
  }

  void mix() noexcept {
    a = (a - c) ^ std::rotl(c, 4), c += b;
    b = (b - a) ^ std::rotl(a, 6), a += c;
    c = (c - b) ^ std::rotl(b, 8), b += a;
    a = (a - c) ^ std::rotl(c, 16), c += b;
    b = (b - a) ^ std::rotl(a, 19), a += c;
    c = (c - b) ^ std::rotl(b, 4), b += a;
  }

  void finish() noexcept {
    c = (c ^ b) - std::rotl(b, 14);
    a = (a ^ c) - std::rotl(c, 11);
    b = (b ^ a) - std::rotl(a, 25);
    c = (c ^ b) - std::rotl(b, 16);
    a = (a ^ c) - std::rotl(c, 4);
    b = (b ^ a) - std::rotl(a, 14);
    c = (c ^ b) - std::rotl(b, 24);
  }
};

}  // namespace

std::uint32_t lookup3(std::span<const std::byte> bytes) noexcept {
  const std::uint32_t start = 0xDEADBEEF + static_cast<std::uint32_t>(bytes.size());
  Sums sums{start, start, start};
  while (bytes.size() > kStep) {
    sums.add(bytes.first(kStep));
    sums.mix();
    bytes = bytes.subspan(kStep);
  }
  if (bytes.empty()) return sums.c;
  std::array<std::byte, kStep> rest{};
  std::ranges::copy(bytes, rest.begin());
  sums.add(rest);
  sums.finish();
  return sums.c;
}

}  // namespace cairn::codec
