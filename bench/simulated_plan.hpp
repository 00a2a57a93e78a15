#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "cairn/state.hpp"
#include "plan/save_steps.hpp"
#include "storage/image.hpp"

namespace bench {

/// What planning a save costs, and what the plan asks of the ranks.
struct PlanCost {
  int ranks = 0;
  double seconds_max = 0;       ///< of a processor, in all steps of a rank: the slowest one
  double seconds_mean = 0;      ///< over all ranks
  double seconds_in_turn = 0;   ///< of the slowest rank of each step, added up: ranks wait in between
  std::uint64_t memory_max = 0;        ///< bytes that a rank takes at once
  std::uint64_t plan_messages_max = 0;  ///< that a rank sends and gets while it plans
  std::uint64_t messages_max = 0;       ///< that a rank sends and gets in one save
  double messages_mean = 0;
  std::uint64_t blocks = 0;
  std::uint64_t writers = 0;      ///< ranks that write a block or more
  std::uint64_t written_max = 0;  ///< bytes, by a rank
  double written_mean = 0;        ///< over the ranks that write
};

/// Plans a save for ranks that are not there, by the code that plans one for ranks that are: each
/// step of plan/save_steps.hpp for one rank after the other. What MPI takes is not in it.
class SimulatedPlan {
 public:
  /// What a rank holds; only names, types and boxes are looked at.
  using StateOf = std::function<cairn::State(int rank)>;

  SimulatedPlan(int ranks, StateOf state_of, std::uint64_t largest_block);

  PlanCost run();

 private:
  struct Rank {
    double seconds = 0;
    std::int64_t held = 0;  ///< bytes, between its steps
    std::int64_t peak = 0;
    std::uint64_t messages = 0;
  };

  template <class Step>
  auto on(int rank, Step&& step);
  void end_of_step();
  void deliver(int from, cairn::plan::Parcels parcels);
  cairn::plan::Parcels take_inbox(int rank);
  [[nodiscard]] std::vector<cairn::plan::Claim> claims_of(int rank) const;

  void claims_to_homes();
  void lay_out();
  void choose_owners();
  void shares_to_holders();
  void holders_to_owners();
  void make_routes(PlanCost& cost);

  int ranks_;
  StateOf state_of_;
  std::uint64_t largest_block_;
  std::vector<Rank> cost_;
  std::vector<cairn::plan::Parcels> inbox_;
  std::vector<cairn::plan::Parcels> on_their_way_;  ///< until the end of the step
  double step_max_ = 0;
  double in_turn_ = 0;
  std::map<int, cairn::plan::Home> homes_;
  cairn::storage::ImageLayout layout_;
  std::vector<std::uint64_t> blocks_;
  cairn::plan::Ownership ownership_;
  std::vector<std::vector<cairn::plan::Holding>> holdings_;
};

}  // namespace bench
