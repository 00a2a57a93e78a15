#include "coord/save_engine.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/strided.hpp"
#include "coord/patience.hpp"

namespace cairn::coord {
namespace {

/// Sends in place need no memory of ours, but MPI keeps account of each.
constexpr std::size_t kMostSends = 32;

constexpr std::size_t kAllRounds = std::numeric_limits<std::size_t>::max();

}  // namespace

SaveEngine::SaveEngine(const Comm& comm, const plan::Routes& routes, Supply& supply,
                       storage::BlockSink& sink, RingArena& arena)
    : comm_(comm),
      routes_(routes),
      supply_(supply),
      sink_(sink),
      arena_(arena),
      blocks_(routes.blocks.size()) {}

std::optional<Error> SaveEngine::run() {
  run_to(kAllRounds);
  while (sink_.take_turn(kAllRounds)) {
    // Other ranks have more blocks.
  }
  note(supply_.error());
  return std::move(error_);
}

void SaveEngine::run_to(std::size_t rounds) {
  end_round_ = rounds;
  try {
    exchange_and_write();
  } catch (...) {
    comm_.fail();
  }
}

void SaveEngine::exchange_and_write() {
  auto last_move = std::chrono::steady_clock::now();
  Patience patience(Patience::kForBlocks);
  while (!done()) {
    bool talked = post_receives();
    talked |= send();
    talked |= receives_.collect(comm_, [this](const Incoming& incoming) { unpack(incoming); });
    talked |= sends_.collect(comm_,
                             [this](const Outgoing& outgoing) { supply_.sent(outgoing.message); });
    bool moved = start_blocks();
    moved |= sink_.take_turn(rounds_ready());
    moved |= take_writes();
    if (talked) patience.reset();
    if (talked || moved) {
      last_move = std::chrono::steady_clock::now();
      continue;
    }
    comm_.look_around(last_move, "pieces of blocks from other ranks");
    const bool is_alone = sends_.empty() && receives_.empty();
    patience.pause([&](auto nap) { sink_.wait(is_alone ? Patience::kWithoutMessages : nap); });
  }
}

bool SaveEngine::done() const {
  return next_block_ >= std::min(blocks_.size(), end_round_) && open_blocks_ == 0 &&
         !has_message() && sends_.empty();
}

/// Whether there is another message to send in this call.
bool SaveEngine::has_message() const {
  return next_message_ < routes_.messages.size() &&
         routes_.messages[next_message_].round < end_round_;
}

/// Of how many rounds, from the first, nobody needs anything more from this rank.
std::size_t SaveEngine::rounds_ready() const {
  std::size_t ready = first_open_ < blocks_.size() ? first_open_ : kAllRounds;
  ready = std::min(ready, end_round_);
  if (!sends_.empty()) {
    ready = std::min<std::size_t>(ready, sends_.front().round);
  } else if (next_message_ < routes_.messages.size()) {
    ready = std::min<std::size_t>(ready, routes_.messages[next_message_].round);
  }
  return ready;
}

std::uint64_t SaveEngine::origin(std::size_t n) const {
  return routes_.blocks[n].block * routes_.block_bytes;
}

void SaveEngine::note(const std::optional<Error>& error) {
  if (error && !error_) error_ = error;
}

bool SaveEngine::start_blocks() {
  bool moved = false;
  while (next_block_ < std::min(blocks_.size(), end_round_)) {
    auto open = supply_.open(next_block_);
    if (!open) break;
    const std::size_t n = next_block_++;
    ++open_blocks_;
    blocks_[n].bytes = open->bytes;
    blocks_[n].loose = std::move(open->loose);
    blocks_[n].missing = routes_.blocks[n].messages.size();
    for (const plan::Message& message : routes_.blocks[n].messages) {
      to_post_.push_back({n, &message, nullptr});
    }
    if (blocks_[n].missing == 0) finish(n);
    moved = true;
  }
  return moved;
}

/// Where a message that is one run of its block is received in place; else null.
std::byte* SaveEngine::place_of(const Incoming& incoming) const {
  const plan::Message& message = *incoming.message;
  if (message.holdings.size() != 1) return nullptr;
  const auto& remote = routes_.theirs[static_cast<std::size_t>(message.peer)];
  const Strided& image = remote[message.holdings.front()].image;
  const std::uint64_t begin = origin(incoming.block);
  const std::uint64_t first = bytes_before(image, begin);
  const auto at = single_run(image, first, first + message.bytes);
  if (!at) return nullptr;
  return blocks_[incoming.block].bytes.data() + (static_cast<std::uint64_t>(*at) - begin);
}

bool SaveEngine::post_receives() {
  bool moved = false;
  while (!to_post_.empty()) {
    Incoming incoming = to_post_.front();
    std::byte* target = place_of(incoming);
    if (target == nullptr) {
      target = incoming.landing = arena_.try_take(incoming.message->bytes);
      if (target == nullptr) break;
    }
    receives_.add(comm_.receive({target, incoming.message->bytes}, incoming.message->peer),
                  incoming);
    to_post_.pop_front();
    moved = true;
  }
  return moved;
}

void SaveEngine::unpack(const Incoming& incoming) {
  Block& block = blocks_[incoming.block];
  if (incoming.landing != nullptr) {
    const auto& remote = routes_.theirs[static_cast<std::size_t>(incoming.message->peer)];
    const std::byte* packed = incoming.landing;
    plan::for_each_piece(*incoming.message, remote, routes_.block_bytes,
                         [&](std::uint32_t i, std::uint64_t first, std::uint64_t last) {
                           copy_local(packed_place(first, last), packed, remote[i].image,
                                      block.bytes.data() - origin(incoming.block), first, last);
                           packed += last - first;
                         });
    arena_.give_back(incoming.landing);
  }
  if (--block.missing == 0) finish(incoming.block);
}

bool SaveEngine::send() {
  bool moved = false;
  while (has_message() && sends_.size() < kMostSends) {
    const plan::Message& message = routes_.messages[next_message_];
    const std::byte* const bytes = supply_.outgoing(next_message_);
    if (bytes == nullptr) break;
    sends_.add(comm_.send({bytes, message.bytes}, message.peer), {message.round, next_message_});
    ++next_message_;
    moved = true;
  }
  return moved;
}

void SaveEngine::finish(std::size_t n) {
  blocks_[n].whole = true;
  while (first_open_ < blocks_.size() && blocks_[first_open_].whole) ++first_open_;
  if (error_ || supply_.error()) {  // the attempt is lost: go on for the others, spare the disk
    close(n);
    return;
  }
  sink_.submit(blocks_[n].bytes, origin(n), n, std::move(blocks_[n].loose));
}

void SaveEngine::close(std::size_t n) {
  supply_.close(blocks_[n].bytes);
  --open_blocks_;
}

bool SaveEngine::take_writes() {
  bool moved = false;
  while (auto completion = sink_.poll()) {
    note(completion->error);
    close(completion->token);
    moved = true;
  }
  return moved;
}

}  // namespace cairn::coord
