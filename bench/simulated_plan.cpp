#include "simulated_plan.hpp"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <type_traits>
#include <utility>

#include "allocation_gauge.hpp"

namespace bench {

namespace plan = cairn::plan;
using cairn::Bytes;

namespace {

/// Of the processor: what others do on this machine is not in it, and no step waits for anything.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

SimulatedPlan::SimulatedPlan(int ranks, StateOf state_of, std::uint64_t largest_block)
    : ranks_(ranks),
      state_of_(std::move(state_of)),
      largest_block_(largest_block),
      cost_(static_cast<std::size_t>(ranks)),
      inbox_(static_cast<std::size_t>(ranks)),
      on_their_way_(static_cast<std::size_t>(ranks)),
      holdings_(static_cast<std::size_t>(ranks)) {}

/// One step of one rank: its time, and the memory that it takes and what of it stays.
template <class Step>
auto SimulatedPlan::on(int rank, Step&& step) {
  Rank& cost = cost_[static_cast<std::size_t>(rank)];
  const AllocationGauge gauge;
  const double start = thread_seconds();
  auto result = std::forward<Step>(step)();
  const double taken = thread_seconds() - start;
  cost.seconds += taken;
  step_max_ = std::max(step_max_, taken);
  cost.peak = std::max(cost.peak, cost.held + AllocationGauge::peak());
  cost.held += AllocationGauge::live();
  return result;
}

/// Then the ranks wait for each other, and have what was sent.
void SimulatedPlan::end_of_step() {
  in_turn_ += std::exchange(step_max_, 0.0);
  for (std::size_t to = 0; to < inbox_.size(); ++to) {
    if (!on_their_way_[to].empty()) inbox_[to] = std::exchange(on_their_way_[to], {});
  }
}

void SimulatedPlan::deliver(int from, plan::Parcels parcels) {
  for (plan::Parcel& parcel : parcels) {
    const auto to = static_cast<std::size_t>(parcel.rank);
    const auto bytes = static_cast<std::int64_t>(parcel.bytes.capacity());
    cost_[static_cast<std::size_t>(from)].held -= bytes;
    cost_[to].held += bytes;
    ++cost_[static_cast<std::size_t>(from)].messages;
    ++cost_[to].messages;
    on_their_way_[to].push_back({from, std::move(parcel.bytes)});
  }
}

plan::Parcels SimulatedPlan::take_inbox(int rank) {
  return std::exchange(inbox_[static_cast<std::size_t>(rank)], {});
}

std::vector<plan::Claim> SimulatedPlan::claims_of(int rank) const {
  return plan::describe(state_of_(rank));
}

PlanCost SimulatedPlan::run() {
  PlanCost cost;
  cost.ranks = ranks_;
  claims_to_homes();
  lay_out();
  choose_owners();
  shares_to_holders();
  holders_to_owners();
  for (const Rank& rank : cost_) {
    cost.plan_messages_max = std::max(cost.plan_messages_max, rank.messages);
  }
  make_routes(cost);
  for (const Rank& rank : cost_) {
    cost.seconds_max = std::max(cost.seconds_max, rank.seconds);
    cost.seconds_mean += rank.seconds / ranks_;
    cost.memory_max = std::max(cost.memory_max, static_cast<std::uint64_t>(rank.peak));
  }
  cost.seconds_in_turn = in_turn_;
  return cost;
}

/// And the homes prove that all of it covers each tensor.
void SimulatedPlan::claims_to_homes() {
  for (int rank = 0; rank < ranks_; ++rank) {
    const cairn::State state = state_of_(rank);
    deliver(rank, on(rank, [&] {
              const auto claims = plan::describe(state);
              return plan::tell_claims(claims, plan::claims_by_home(claims, ranks_));
            }));
  }
  end_of_step();
  for (int rank = 0; rank < ranks_; ++rank) {
    if (inbox_[static_cast<std::size_t>(rank)].empty()) continue;
    homes_.emplace(rank, on(rank, [&] {
                     const plan::Parcels from = take_inbox(rank);
                     plan::Home home = plan::hear_claims(from);
                     home.check();
                     return home;
                   }));
  }
  end_of_step();
}

void SimulatedPlan::lay_out() {
  std::vector<Bytes> told(static_cast<std::size_t>(ranks_));
  for (auto& [rank, home] : homes_) {
    told[static_cast<std::size_t>(rank)] = on(rank, [&] { return plan::tell_tensors(home); });
  }
  end_of_step();
  deliver(0, on(0, [&] {
            const plan::Structure structure = plan::hear_tensors(told);
            layout_ = cairn::storage::lay_out(structure.tensors, largest_block_);
            return plan::tell_offsets(structure, layout_.offsets);
          }));
  end_of_step();
  blocks_.resize(layout_.tail_offset / layout_.block_bytes -
                 layout_.head_bytes / layout_.block_bytes);
  std::iota(blocks_.begin(), blocks_.end(), layout_.head_bytes / layout_.block_bytes);
}

void SimulatedPlan::choose_owners() {
  std::vector<Bytes> told(static_cast<std::size_t>(ranks_), plan::tell_candidates({}));
  for (auto& [rank, home] : homes_) {
    told[static_cast<std::size_t>(rank)] = on(rank, [&, rank = rank, &home = home] {
      const plan::Parcels from = take_inbox(rank);
      home.place(plan::hear_offsets(from.front().bytes), layout_.block_bytes);
      return plan::tell_candidates(home.candidates());
    });
  }
  end_of_step();
  const Bytes decision = on(0, [&] { return plan::decide_owners(told, blocks_, ranks_); });
  end_of_step();
  for (int rank = 0; rank < ranks_; ++rank) {
    ownership_ = on(rank, [&] {
      return plan::hear_owners(decision, blocks_,
                               {layout_.block_bytes, layout_.head_bytes / layout_.block_bytes, {}},
                               blocks_.size());
    });
  }
}

void SimulatedPlan::shares_to_holders() {
  for (auto& [rank, home] : homes_) {
    deliver(rank, on(rank, [&, &home = home] {
              plan::Parcels shares = plan::tell_shares(home, ownership_, ranks_);
              home = {};
              return shares;
            }));
  }
  end_of_step();
}

void SimulatedPlan::holders_to_owners() {
  for (int rank = 0; rank < ranks_; ++rank) {
    const auto claims = claims_of(rank);
    const auto by_home = plan::claims_by_home(claims, ranks_);
    auto& mine = holdings_[static_cast<std::size_t>(rank)];
    deliver(rank, on(rank, [&] {
              mine = plan::hear_shares(claims, by_home, take_inbox(rank));
              return plan::tell_owners(mine, ownership_, rank);
            }));
  }
  end_of_step();
}

void SimulatedPlan::make_routes(PlanCost& cost) {
  std::uint64_t messages = 0;
  for (int rank = 0; rank < ranks_; ++rank) {
    const plan::Routes routes = on(rank, [&] {
      return plan::hear_holders(ownership_, rank, ranks_,
                                std::move(holdings_[static_cast<std::size_t>(rank)]),
                                take_inbox(rank));
    });
    std::uint64_t mine = routes.messages.size();
    for (const plan::OwnedBlock& block : routes.blocks) mine += block.messages.size();
    messages += mine;
    cost.messages_max = std::max(cost.messages_max, mine);
    const std::uint64_t written = routes.blocks.size() * routes.block_bytes;
    cost.written_max = std::max(cost.written_max, written);
    cost.blocks += routes.blocks.size();
    if (written > 0) ++cost.writers;
  }
  end_of_step();
  cost.messages_mean = static_cast<double>(messages) / ranks_;
  cost.written_mean = static_cast<double>(cost.blocks * layout_.block_bytes) /
                      static_cast<double>(std::max<std::uint64_t>(cost.writers, 1));
}

}  // namespace bench
