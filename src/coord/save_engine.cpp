#include "coord/save_engine.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Sends in place need no memory of ours, but MPI keeps account of each.
constexpr std::size_t kMostSends = 32;

constexpr std::size_t kAllRounds = std::numeric_limits<std::size_t>::max();

}  // namespace

SaveEngine::SaveEngine(const Comm& comm, const plan::Routes& routes,
                       std::span<const SliceAccess> slices, storage::BlockSink& sink,
                       Staging& staging)
    : comm_(comm),
      routes_(routes),
      slices_(slices),
      staging_(staging),
      whole_(routes.blocks.size()),
      sink_(sink) {
  for (std::size_t i = 0; i < staging.slot_count(); ++i) {
    slots_.push_back({.bytes = staging.slot(i)});
    free_slots_.push_back(i);
  }
}

std::optional<Error> SaveEngine::run() {
  auto last_move = std::chrono::steady_clock::now();
  Patience patience(Patience::kForBlocks);
  while (!done()) {
    bool moved = start_blocks();
    moved |= post_receives();
    moved |= send();
    moved |= receives_.collect(comm_, [this](const Incoming& incoming) { unpack(incoming); });
    moved |= sends_.collect(comm_, [this](const Outgoing& outgoing) {
      if (outgoing.packed != nullptr) staging_.outgoing().give_back(outgoing.packed);
    });
    moved |= sink_.take_turn(rounds_ready());
    moved |= take_writes();
    if (moved) {
      last_move = std::chrono::steady_clock::now();
      patience.reset();
    } else {
      comm_.check_deadline(last_move, "pieces of blocks from other ranks");
      patience.pause();
    }
  }
  while (sink_.take_turn(kAllRounds)) {
    // Other ranks have more blocks.
  }
  return std::move(error_);
}

bool SaveEngine::done() const {
  return next_block_ == routes_.blocks.size() && free_slots_.size() == slots_.size() &&
         next_message_ == routes_.messages.size() && sends_.empty();
}

/// Of how many rounds, from the first, nobody needs anything more from this rank.
std::size_t SaveEngine::rounds_ready() const {
  std::size_t ready = first_open_ < routes_.blocks.size() ? first_open_ : kAllRounds;
  if (!sends_.empty()) {
    ready = std::min<std::size_t>(ready, sends_.front().round);
  } else if (next_message_ < routes_.messages.size()) {
    ready = std::min<std::size_t>(ready, routes_.messages[next_message_].round);
  }
  return ready;
}

std::uint64_t SaveEngine::origin(const Slot& slot) const {
  return slot.block->block * routes_.block_bytes;
}

void SaveEngine::note(std::optional<Error> error) {
  if (error && !error_) error_ = std::move(error);
}

bool SaveEngine::start_blocks() {
  bool moved = false;
  while (!free_slots_.empty() && next_block_ < routes_.blocks.size()) {
    const std::size_t i = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[i];
    slot.block = &routes_.blocks[next_block_++];
    slot.missing = slot.block->messages.size();
    for (const plan::Message& message : slot.block->messages) {
      to_post_.push_back({i, &message, nullptr});
    }
    if (slot.block->bytes < slot.bytes.size()) zero_gaps(slot);
    fill_own(slot);
    if (slot.missing == 0) finish(i);
    moved = true;
  }
  return moved;
}

/// Zeroes what no piece covers, as far as that is easily told: pieces in several runs are not, and
/// then all of the slot is zeroed.
void SaveEngine::zero_gaps(Slot& slot) {
  const std::uint64_t begin = origin(slot);
  runs_.clear();
  bool is_told = true;
  const auto add = [&](const Strided& image) {
    const std::uint64_t first = bytes_before(image, begin);
    const std::uint64_t last = bytes_before(image, begin + routes_.block_bytes);
    const auto at = single_run(image, first, last);
    is_told = is_told && at.has_value();
    if (at) runs_.emplace_back(static_cast<std::uint64_t>(*at) - begin, last - first);
  };
  for (const std::uint32_t i : slot.block->mine) add(routes_.mine[i].image);
  for (const plan::Message& message : slot.block->messages) {
    const auto& remote = routes_.theirs[static_cast<std::size_t>(message.peer)];
    for (const std::uint32_t i : message.holdings) add(remote[i].image);
  }
  if (!is_told) runs_.clear();
  std::ranges::sort(runs_);
  std::uint64_t end = 0;  // of what is covered or zero
  for (const auto& [at, bytes] : runs_) {
    if (at > end) std::memset(slot.bytes.data() + end, 0, at - end);
    end = std::max(end, at + bytes);
  }
  std::memset(slot.bytes.data() + end, 0, slot.bytes.size() - end);
}

void SaveEngine::fill_own(Slot& slot) {
  const std::uint64_t begin = origin(slot);
  for (const std::uint32_t i : slot.block->mine) {
    const plan::Holding& holding = routes_.mine[i];
    const std::uint64_t first = bytes_before(holding.image, begin);
    const std::uint64_t last = bytes_before(holding.image, begin + routes_.block_bytes);
    note(attempt([&] {
      slices_[holding.entry].read_into_image(first, last, holding.image, slot.bytes.data(), begin);
    }));
  }
}

bool SaveEngine::post_receives() {
  bool moved = false;
  while (!to_post_.empty()) {
    Incoming incoming = to_post_.front();
    const plan::Message& message = *incoming.message;
    const auto& remote = routes_.theirs[static_cast<std::size_t>(message.peer)];
    const Slot& slot = slots_[incoming.slot];
    std::byte* target = nullptr;
    if (message.holdings.size() == 1) {
      const Strided& image = remote[message.holdings.front()].image;
      const std::uint64_t first = bytes_before(image, origin(slot));
      if (const auto at = single_run(image, first, first + message.bytes)) {
        target = slot.bytes.data() + (static_cast<std::uint64_t>(*at) - origin(slot));
      }
    }
    if (target == nullptr) {
      target = incoming.landing = staging_.incoming().try_take(message.bytes);
      if (target == nullptr) break;
    }
    receives_.add(comm_.receive({target, message.bytes}, message.peer), incoming);
    to_post_.pop_front();
    moved = true;
  }
  return moved;
}

void SaveEngine::unpack(const Incoming& incoming) {
  Slot& slot = slots_[incoming.slot];
  if (incoming.landing != nullptr) {
    const auto& remote = routes_.theirs[static_cast<std::size_t>(incoming.message->peer)];
    const std::byte* packed = incoming.landing;
    plan::for_each_piece(*incoming.message, remote, routes_.block_bytes,
                   [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                     copy_local(packed_place(first, last), packed, remote[i].image,
                                slot.bytes.data() - origin(slot), first, last);
                     packed += last - first;
                   });
    staging_.incoming().give_back(incoming.landing);
  }
  if (--slot.missing == 0) finish(incoming.slot);
}

bool SaveEngine::send() {
  bool moved = false;
  while (next_message_ < routes_.messages.size() && sends_.size() < kMostSends) {
    const plan::Message& message = routes_.messages[next_message_];
    const plan::Holding& front = routes_.mine[message.holdings.front()];
    const std::byte* bytes = nullptr;
    std::byte* packed = nullptr;
    if (message.holdings.size() == 1) {
      const std::uint64_t first = bytes_before(front.image, message.block * routes_.block_bytes);
      bytes = slices_[front.entry].in_place(first, first + message.bytes);
    }
    if (bytes == nullptr) {
      packed = staging_.outgoing().try_take(message.bytes);
      if (packed == nullptr) break;
      pack(message, packed);
      bytes = packed;
    }
    sends_.add(comm_.send({bytes, message.bytes}, message.peer), {message.round, packed});
    ++next_message_;
    moved = true;
  }
  return moved;
}

void SaveEngine::pack(const plan::Message& message, std::byte* packed) {
  plan::for_each_piece(message, routes_.mine, routes_.block_bytes,
                 [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                   note(attempt([&] {
                     slices_[routes_.mine[i].entry].read(first, last, packed);
                   }));
                   packed += last - first;
                 });
}

void SaveEngine::finish(std::size_t slot) {
  whole_[static_cast<std::size_t>(slots_[slot].block - routes_.blocks.data())] = true;
  while (first_open_ < whole_.size() && whole_[first_open_]) ++first_open_;
  if (error_) {  // the attempt is lost: go on for the others, spare the disk
    free_slots_.push_back(slot);
    return;
  }
  sink_.submit(slots_[slot].bytes, origin(slots_[slot]), slot);
}

bool SaveEngine::take_writes() {
  bool moved = false;
  while (auto completion = sink_.poll()) {
    note(std::move(completion->error));
    free_slots_.push_back(completion->token);
    moved = true;
  }
  return moved;
}

}  // namespace cairn::coord
