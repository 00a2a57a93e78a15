#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// splitmix64. Its whole state is one number: saving that saves the generator, and starting one
/// from an element's index makes the element's first value independent of who holds it.
struct Random {
  std::uint64_t state = 0;

  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(next() >> 12U) + 0.5) * 0x1p-52; }
};

/// Walks through a text in random strides, on average once around in a batch. Every rank walks the
/// whole way, so the batch of a step does not depend on how many ranks share it.
struct Reader {
  std::string text;
  std::uint64_t position = 0;
  Random random{2024};

  /// `count` windows of `length` bytes. The text must be longer than both.
  std::vector<std::string_view> next_batch(std::size_t count, std::size_t length) {
    const std::uint64_t starts = text.size() - length + 1;
    const std::uint64_t mean_stride = starts / count + 1;
    std::vector<std::string_view> windows(count);
    for (std::string_view& window : windows) {
      position = (position + 1 + random.next() % (2 * mean_stride)) % starts;
      window = std::string_view(text).substr(position, length);
    }
    return windows;
  }
};
