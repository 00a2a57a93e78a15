#include "slices.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "failure.hpp"

namespace bench {
namespace {

constexpr std::uint64_t kAlignment = 64;

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::uint64_t slice_bytes(const Tensor& tensor, const cairn::Slice& slice) {
  return cairn::element_count(slice.extent) * cairn::size_of(tensor.dtype);
}

/// What ranks tell each other of a difference. The first member orders them.
struct Finding {
  std::uint64_t place = std::numeric_limits<std::uint64_t>::max();
  Difference difference;
};
static_assert(std::is_trivially_copyable_v<Finding>);

bool comes_before(const Finding& a, const Finding& b) {
  return a.place != b.place ? a.place < b.place : a.difference.index < b.difference.index;
}

}  // namespace

Slices::Slices(const World& world, const Workload& workload, std::optional<Slicing> slicing,
               Pages pages)
    : world_(world), workload_(workload) {
  hold_slices(slicing);
  allocate(pages);
  for (const Held& held : held_) {
    state_.add(held.tensor->name, held.slice,
               cairn::Source::memory(held.tensor->dtype, static_cast<void*>(held.memory)));
  }
}

void Slices::hold_slices(std::optional<Slicing> slicing) {
  for (std::size_t place = 0; place < workload_.tensors.size(); ++place) {
    const Tensor& tensor = workload_.tensors[place];
    auto slice = slice_of(tensor.shape, slicing.value_or(tensor.slicing), place, world_.rank(),
                          world_.ranks());
    if (!slice) continue;
    bytes_ += slice_bytes(tensor, *slice);
    held_.push_back({&tensor, place, std::move(*slice), nullptr});
  }
}

/// One mapping for all: pages come with their first touch, by the fill or by the load.
void Slices::allocate(Pages pages) {
  std::uint64_t total = 0;
  for (const Held& held : held_) total += aligned(slice_bytes(*held.tensor, held.slice));
  if (total > 0) memory_ = map_memory(total, pages);
  if (!world_.all(total == 0 || memory_)) throw Failure("there is no memory for the slices of some rank");
  std::byte* next = memory_.get();
  for (Held& held : held_) {
    const std::uint64_t size = slice_bytes(*held.tensor, held.slice);
    if (size == 0) continue;  // an empty box stays without memory
    held.memory = next;
    next += aligned(size);
  }
}

void Slices::fill(std::uint64_t step) {
  for (const Held& held : held_) {
    bench::fill({held.tensor->dtype, held.place, step}, held.slice, held.memory);
  }
}

void Slices::randomise() {
  std::uint64_t state = 0x9E3779B97F4A7C15U * static_cast<std::uint64_t>(world_.rank() + 1);
  const std::span<std::byte> all(memory_.get(), bytes_);
  for (std::size_t at = 0; at < all.size(); at += sizeof state) {
    state ^= state << 13U;  // xorshift64: no compressor finds anything in it
    state ^= state >> 7U;
    state ^= state << 17U;
    std::memcpy(all.data() + at, &state, std::min(sizeof state, all.size() - at));
  }
}

void Slices::spoil() {
  if (memory_) std::memset(memory_.get(), 0xEE, memory_.get_deleter().bytes);
}

std::optional<FoundDifference> Slices::find_difference(std::uint64_t step) const {
  Finding mine;
  for (const Held& held : held_) {
    const auto difference =
        bench::find_difference({held.tensor->dtype, held.place, step}, held.slice, held.memory);
    if (!difference) continue;
    mine = {held.place, *difference};
    break;
  }
  std::vector<Finding> all(static_cast<std::size_t>(world_.ranks()));
  MPI_Allgather(&mine, sizeof(Finding), MPI_BYTE, all.data(), sizeof(Finding), MPI_BYTE,
                world_.comm());
  const auto first = std::ranges::min_element(all, comes_before);
  if (first->place >= workload_.tensors.size()) return std::nullopt;
  const Tensor& tensor = workload_.tensors[first->place];
  return FoundDifference{tensor.name, tensor.dtype, tensor.shape, first->difference,
                         static_cast<int>(first - all.begin())};
}

}  // namespace bench
