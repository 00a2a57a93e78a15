#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/table_memory.hpp"

namespace cairn {

/// Finds row numbers by the hash of their key: open addressing in groups of one cache line, after
/// the F14 tables of Bronson and Shi (2019). A group has a byte of the hash of each of its numbers,
/// so that a look at one line tells almost always which row to compare, or that there is none.
///
/// 1. A number is in the first group on its probe sequence that had room.
/// 2. `passed` of a group counts the numbers whose sequence went over it; a search ends where it
///    is 0. Thus removing leaves no trace, and nothing need be swept.
/// 3. At 255 the count stays until the next `reset`: a search may go on in vain, never miss.
class MapIndex {
 public:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  static constexpr std::uint64_t kUnsure = kNone - 1;
  /// Numbers have 34 bits.
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 34;

  /// Empty, with one group.
  MapIndex() { reset(0); }

  /// How many numbers it takes before it ought to be larger.
  [[nodiscard]] std::uint64_t capacity() const noexcept {
    return std::min((mask_ + 1) * kLoad, kMost);
  }
  /// Forgets all numbers and makes room for `count`. Throws `invalid_argument` or `bad_alloc` and
  /// then has done nothing.
  void reset(std::uint64_t count);

  /// What the first group says, which nearly always is all there is to say: the number of the key
  /// of that hash or, rarely, of another key, so compare; `kNone`; or `kUnsure`. It is made for
  /// speed: the less a lookup executes, the more of them wait for memory at once.
  [[nodiscard]] std::uint64_t first(std::uint64_t hash) const noexcept {
    const auto tag = static_cast<std::uint32_t>(hash >> 56);
    const Group& here = group(hash & mask_);
    const unsigned slots = here.slots_of(tag);
    if (tag == 0 || here.high != 0) [[unlikely]]
      return kUnsure;
    if (slots != 0) return here.low[first_of(slots)];
    return here.passed == 0 ? kNone : kUnsure;
  }
  /// The number of that hash for which `is_it` says yes, or `kNone`.
  template <class IsIt>
  [[nodiscard]] std::uint64_t find(std::uint64_t hash, IsIt&& is_it) const noexcept {
    for (Probe probe(*this, hash);; probe.advance()) {
      const Group& here = group(probe.at);
      for (unsigned slots = here.slots_of(probe.tag); slots != 0; slots &= slots - 1) {
        const std::uint64_t number = here.number(first_of(slots));
        if (is_it(number)) return number;
      }
      if (here.passed == 0 || probe.left == 0) return kNone;
    }
  }
  /// As `MapRows::prefetch`.
  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&group(hash & mask_));
  }

  /// There must be room: fewer than `capacity` numbers, and none that is this one.
  void insert(std::uint64_t hash, std::uint64_t number) noexcept;
  /// It must be there.
  void remove(std::uint64_t hash, std::uint64_t number) noexcept;

 private:
  static constexpr unsigned kSlots = 12;
  static constexpr std::size_t kLoad = 7;  ///< of a group, on average, at most

  struct alignas(64) Group {
    std::array<std::uint8_t, kSlots> tags{};  ///< 0: an empty slot
    std::uint32_t passed : 8 = 0;
    std::uint32_t high : 24 = 0;              ///< two bits of each number
    std::array<std::uint32_t, kSlots> low{};  ///< the other 32

    [[nodiscard]] std::uint64_t number(std::size_t slot) const noexcept {
      return low[slot] | std::uint64_t{(high >> (2 * slot)) & 3u} << 32;
    }
    void set(std::size_t slot, std::uint32_t tag, std::uint64_t number) noexcept;
    /// A bit for each slot of that tag.
    [[nodiscard]] unsigned slots_of(std::uint32_t tag) const noexcept {
#ifdef __SSE2__
      const __m128i line = _mm_load_si128(reinterpret_cast<const __m128i*>(this));
      const __m128i equal =
          _mm_cmpeq_epi8(line, _mm_set1_epi32(static_cast<int>(tag * 0x01010101)));
      return static_cast<unsigned>(_mm_movemask_epi8(equal)) & ((1u << kSlots) - 1);
#else
      unsigned slots = 0;
      for (unsigned slot = 0; slot < kSlots; ++slot) {
        slots |= static_cast<unsigned>(tags[slot] == tag) << slot;
      }
      return slots;
#endif
    }
  };
  static_assert(sizeof(Group) == 64);

  /// All groups, each once: the stride is odd and the number of groups a power of two.
  struct Probe {
    Probe(const MapIndex& index, std::uint64_t hash) noexcept
        : tag(static_cast<std::uint32_t>(hash >> 56)),
          mask(index.mask_),
          left(index.mask_),
          at(hash & mask) {
      tag += tag == 0 ? 1 : 0;
    }
    void advance() noexcept {
      at = (at + 2 * std::size_t{tag} + 1) & mask;
      --left;
    }

    /// A byte. It is wider because of GCC 12, which else stores a byte and loads four from its
    /// place: the processor lets all that is under way end before that, and lookups no longer
    /// overlap.
    std::uint32_t tag;
    std::size_t mask;
    std::size_t left;  ///< groups after this one
    std::size_t at;
  };

  static unsigned first_of(unsigned bits) noexcept {
    return static_cast<unsigned>(__builtin_ctz(bits));
  }

  [[nodiscard]] Group& group(std::size_t at) const noexcept {
    return reinterpret_cast<Group*>(groups_.get())[at];
  }

  TableMemory groups_;    ///< a power of two of them
  std::size_t mask_ = 0;  ///< their number - 1
};

}  // namespace cairn
