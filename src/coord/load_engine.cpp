#include "coord/load_engine.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "coord/patience.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Messages in place need no memory of ours, but MPI keeps account of each.
constexpr std::size_t kMostMessages = 32;

constexpr std::size_t kNoSlot = std::numeric_limits<std::size_t>::max();

/// The first one counts.
void note(std::optional<Error>& first, std::optional<Error> error) {
  if (error && !first) first = std::move(error);
}

}  // namespace

LoadEngine::LoadEngine(const Comm& comm, const plan::Routes& routes,
                       std::span<SliceFiller> slices, const storage::BlockFiles& files,
                       storage::BlockIo& io, Staging& staging)
    : comm_(comm),
      routes_(routes),
      slices_(slices),
      files_(files),
      staging_(staging),
      arrived_(routes.blocks.size()),
      io_(io) {
  for (std::size_t i = 0; i < staging.slot_count(); ++i) {
    slots_.push_back({.bytes = staging.slot(i)});
    free_slots_.push_back(i);
  }
}

LoadEngine::Outcome LoadEngine::run() {
  try {
    read_and_exchange();
  } catch (...) {
    comm_.fail();
  }
  return std::move(outcome_);
}

void LoadEngine::read_and_exchange() {
  auto last_move = std::chrono::steady_clock::now();
  Patience patience(Patience::kForBlocks);
  while (!done()) {
    bool moved = start_reads();
    moved |= take_reads();
    bool talked = post_receives();
    talked |= send();
    talked |= receives_.collect(comm_, [this](const Incoming& incoming) { unpack(incoming); });
    talked |= sends_.collect(comm_, [this](const Outgoing& outgoing) {
      if (outgoing.packed != nullptr) {
        staging_.outgoing().give_back(outgoing.packed);
      } else {
        let_go(outgoing.slot);
      }
    });
    if (talked) patience.reset();
    if (talked || moved) {
      last_move = std::chrono::steady_clock::now();
      continue;
    }
    comm_.look_around(last_move, "pieces of blocks from other ranks");
    const bool is_alone = sends_.empty() && receives_.empty();
    patience.pause([&](auto nap) { io_.wait(is_alone ? Patience::kWithoutMessages : nap); });
  }
}

bool LoadEngine::done() const {
  return next_to_hand_out_ == routes_.blocks.size() && free_slots_.size() == slots_.size() &&
         to_send_.empty() && sends_.empty() && next_message_ == routes_.messages.size() &&
         receives_.empty();
}

std::uint64_t LoadEngine::origin(const Slot& slot) const {
  return slot.block->block * routes_.block_bytes;
}

bool LoadEngine::start_reads() {
  bool moved = false;
  while (!free_slots_.empty() && next_block_ < routes_.blocks.size()) {
    const std::size_t i = free_slots_.back();
    free_slots_.pop_back();
    slots_[i].block = &routes_.blocks[next_block_++];
    if (failed()) {  // the load is lost: go on for the others, spare the disk
      if (!slots_[i].block->messages.empty()) std::ranges::fill(slots_[i].bytes, std::byte{0});
      arrive(i);
    } else {
      const auto [file, offset] = files_.locate(origin(slots_[i]));
      io_.submit(*file, slots_[i].bytes, offset, i, origin(slots_[i]));
    }
    moved = true;
  }
  return moved;
}

bool LoadEngine::take_reads() {
  bool moved = false;
  while (auto completion = io_.poll()) {
    if (completion->error) {
      // Nobody is to see what was not verified.
      std::ranges::fill(slots_[completion->token].bytes, std::byte{0});
      note(outcome_.reading, std::move(completion->error));
    }
    arrive(completion->token);
    moved = true;
  }
  // Reads complete in any order; messages must leave in the order of the blocks.
  while (next_to_hand_out_ < arrived_.size() && arrived_[next_to_hand_out_]) {
    hand_out(*arrived_[next_to_hand_out_++]);
  }
  return moved;
}

/// A block is in its slot.
void LoadEngine::arrive(std::size_t i) {
  const Slot& slot = slots_[i];
  take_own(slot);
  const bool has_messages = !slot.block->messages.empty();
  arrived_[static_cast<std::size_t>(slot.block - routes_.blocks.data())] =
      has_messages ? i : kNoSlot;
  if (!has_messages) free_slots_.push_back(i);
}

void LoadEngine::take_own(const Slot& slot) {
  const std::uint64_t begin = origin(slot);
  for (const std::uint32_t m : slot.block->mine) {
    if (failed()) break;  // nothing of what is in the slot belongs into the state
    const plan::Holding& holding = routes_.mine[m];
    const std::uint64_t first = bytes_before(holding.image, begin);
    const std::uint64_t last = bytes_before(holding.image, begin + routes_.block_bytes);
    note(outcome_.filling, attempt([&] {
      slices_[holding.entry].write_from_image(first, last, holding.image, slot.bytes.data(), begin);
    }));
  }
}

void LoadEngine::hand_out(std::size_t i) {
  if (i == kNoSlot) return;
  slots_[i].unsent = slots_[i].block->messages.size();
  for (const plan::Message& message : slots_[i].block->messages) {
    to_send_.push_back({i, &message, nullptr});
  }
}

void LoadEngine::let_go(std::size_t slot) {
  if (--slots_[slot].unsent == 0) free_slots_.push_back(slot);
}

bool LoadEngine::send() {
  bool moved = false;
  while (!to_send_.empty() && sends_.size() < kMostMessages) {
    Outgoing outgoing = to_send_.front();
    const plan::Message& message = *outgoing.message;
    const Slot& slot = slots_[outgoing.slot];
    const auto& remote = routes_.theirs[static_cast<std::size_t>(message.peer)];
    const std::byte* bytes = nullptr;
    if (message.holdings.size() == 1) {
      const Strided& image = remote[message.holdings.front()].image;
      const std::uint64_t first = bytes_before(image, origin(slot));
      if (const auto at = single_run(image, first, first + message.bytes)) {
        bytes = slot.bytes.data() + (static_cast<std::uint64_t>(*at) - origin(slot));
      }
    }
    if (bytes == nullptr) {
      outgoing.packed = staging_.outgoing().try_take(message.bytes);
      if (outgoing.packed == nullptr) break;
      pack(outgoing);
      bytes = outgoing.packed;
    }
    sends_.add(comm_.send({bytes, message.bytes}, message.peer), outgoing);
    to_send_.pop_front();
    if (outgoing.packed != nullptr) let_go(outgoing.slot);
    moved = true;
  }
  return moved;
}

void LoadEngine::pack(const Outgoing& outgoing) {
  const Slot& slot = slots_[outgoing.slot];
  const auto& remote = routes_.theirs[static_cast<std::size_t>(outgoing.message->peer)];
  std::byte* packed = outgoing.packed;
  plan::for_each_piece(*outgoing.message, remote, routes_.block_bytes,
                       [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                         copy_local(remote[i].image, slot.bytes.data() - origin(slot),
                                    packed_place(first, last), packed, first, last);
                         packed += last - first;
                       });
}

bool LoadEngine::post_receives() {
  bool moved = false;
  while (next_message_ < routes_.messages.size() && receives_.size() < kMostMessages) {
    const plan::Message& message = routes_.messages[next_message_];
    const plan::Holding& front = routes_.mine[message.holdings.front()];
    std::byte* target = nullptr;
    Incoming incoming{&message, nullptr};
    if (message.holdings.size() == 1) {
      const std::uint64_t first = bytes_before(front.image, message.block * routes_.block_bytes);
      target = slices_[front.entry].in_place(first, first + message.bytes);
    }
    if (target == nullptr) {
      target = incoming.landing = staging_.incoming().try_take(message.bytes);
      if (target == nullptr) break;
    }
    receives_.add(comm_.receive({target, message.bytes}, message.peer), incoming);
    ++next_message_;
    moved = true;
  }
  return moved;
}

void LoadEngine::unpack(const Incoming& incoming) {
  if (incoming.landing == nullptr) return;
  const std::byte* packed = incoming.landing;
  plan::for_each_piece(*incoming.message, routes_.mine, routes_.block_bytes,
                       [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                         note(outcome_.filling, attempt([&] {
                           slices_[routes_.mine[i].entry].write(first, last, packed);
                         }));
                         packed += last - first;
                       });
  staging_.incoming().give_back(incoming.landing);
}

}  // namespace cairn::coord
