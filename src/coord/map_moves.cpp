#include "coord/map_moves.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <tuple>
#include <utility>

#include "base/map_hash.hpp"
#include "base/tensor.hpp"
#include "base/wire.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

/// Changes that a rank judges at a time, on average.
constexpr std::uint64_t kAtATime = std::uint64_t{1} << 20;

using Keys = std::vector<std::int64_t>;

struct Change {
  std::int64_t key;
  std::int32_t rank;
  bool erased;
};

/// What this rank tells each judge in one of the rounds.
std::vector<Bytes> tell(const MapTable& table, std::uint64_t ranks, std::uint64_t round,
                        std::uint64_t rounds) {
  std::vector<Keys> put(ranks);
  std::vector<Keys> erased(ranks);
  const auto add = [&](std::vector<Keys>& to, std::int64_t key) {
    const std::uint64_t order = order_of(key);
    if (order / ranks % rounds == round) to[order % ranks].push_back(key);
  };
  table.visit_in_flight([&](MapTable::Number number) { add(put, table.key(number)); });
  for (const std::int64_t key : table.erased_in_flight()) add(erased, key);
  std::vector<Bytes> told(ranks);
  for (std::size_t judge = 0; judge < ranks; ++judge) {
    if (put[judge].empty() && erased[judge].empty()) continue;
    WireWriter writer;
    writer.put_all(std::span<const std::int64_t>(put[judge]));
    writer.put_all(std::span<const std::int64_t>(erased[judge]));
    told[judge] = writer.take();
  }
  return told;
}

/// What each rank leaves out: of the changes of a key, a put one before erased ones and then by
/// rank, the first one counts. Throws `layout` where two ranks put one key.
std::vector<Bytes> judge(const std::vector<Bytes>& told, const std::string& name) {
  std::vector<Change> changes;
  for (std::size_t rank = 0; rank < told.size(); ++rank) {
    if (told[rank].empty()) continue;
    WireReader reader(told[rank]);
    for (const bool erased : {false, true}) {
      for (const std::int64_t key : reader.get_all<std::int64_t>()) {
        changes.push_back({key, static_cast<std::int32_t>(rank), erased});
      }
    }
  }
  std::ranges::sort(changes, {}, [](const Change& change) {
    return std::tuple(change.key, change.erased, change.rank);
  });
  std::vector<Keys> left_out(told.size());
  for (std::size_t i = 1; i < changes.size(); ++i) {
    const Change& change = changes[i];
    if (changes[i - 1].key != change.key) continue;
    if (!change.erased) {
      throw Error(ErrorCode::layout, label(Family::map_parameter, name) + ": ranks " +
                                         std::to_string(changes[i - 1].rank) + " and " +
                                         std::to_string(change.rank) +
                                         " both hold one key, " + std::to_string(change.key) +
                                         "; expected every key on one rank");
    }
    left_out[static_cast<std::size_t>(change.rank)].push_back(change.key);
  }
  std::vector<Bytes> answers;
  for (const Keys& keys : left_out) {
    const auto bytes = std::as_bytes(std::span(keys));
    answers.emplace_back(bytes.begin(), bytes.end());
  }
  return answers;
}

void append_keys(const Bytes& bytes, Keys& keys) {
  const std::size_t before = keys.size();
  keys.resize(before + bytes.size() / sizeof(std::int64_t));
  if (!bytes.empty()) std::memcpy(keys.data() + before, bytes.data(), bytes.size());
}

}  // namespace

std::vector<std::int64_t> erased_to_save(const Comm& comm, const MapTable& table,
                                         const std::string& name) {
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  Keys kept;
  std::array<std::uint64_t, 2> sums{};  // of all that changed, of the erased
  run_together(comm, [&] {
    const auto erased = table.erased_in_flight();
    kept.assign(erased.begin(), erased.end());
    sums = {kept.size(), kept.size()};
    table.visit_in_flight([&](MapTable::Number) { ++sums[0]; });
  });
  comm.allreduce(std::span<std::uint64_t>(sums), MPI_SUM);
  if (ranks == 1 || sums[1] == 0) return kept;
  Keys left_out;
  const std::uint64_t rounds = 1 + sums[0] / ranks / kAtATime;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::vector<Bytes> messages;
    run_together(comm, [&] { messages = tell(table, ranks, round, rounds); });
    messages = comm.exchange(std::move(messages));
    run_together(comm, [&] { messages = judge(messages, name); }, Blame::nobody);
    messages = comm.exchange(std::move(messages));
    run_together(comm, [&] {
      for (const Bytes& bytes : messages) append_keys(bytes, left_out);
    });
  }
  std::ranges::sort(left_out);
  std::erase_if(kept, [&](std::int64_t key) { return std::ranges::binary_search(left_out, key); });
  return kept;
}

}  // namespace cairn::coord
