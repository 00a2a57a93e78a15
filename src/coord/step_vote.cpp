#include "coord/step_vote.hpp"

#include <array>
#include <limits>
#include <string>

#include "cairn/error.hpp"

namespace cairn::coord {
namespace {

/// The least and the greatest of a value over all ranks.
struct Range {
  std::uint64_t least;
  std::uint64_t greatest;
};

template <std::size_t n>
std::array<Range, n> ranges_of(const Comm& comm, const std::array<std::uint64_t, n>& values) {
  std::array<std::uint64_t, 2 * n> both;
  for (std::size_t i = 0; i < n; ++i) {
    both[2 * i] = values[i];
    both[2 * i + 1] = ~values[i];
  }
  comm.allreduce(std::span<std::uint64_t>(both), MPI_MIN);
  std::array<Range, n> ranges;
  for (std::size_t i = 0; i < n; ++i) ranges[i] = {both[2 * i], ~both[2 * i + 1]};
  return ranges;
}

}  // namespace

StepVote::~StepVote() {
  // MPI may write into it for as long as it runs.
  if (request_ != MPI_REQUEST_NULL) static_cast<void>(ballot_.release());
}

std::optional<StepVote::Voice> StepVote::complete() {
  if (request_ == MPI_REQUEST_NULL) return std::nullopt;
  comm_.wait({&request_, 1}, "the vote of the step before");
  const auto& any = ballot_->any;
  return Voice{any[0] != 0, any[1] != 0, any[2] != 0, any[3]};
}

void StepVote::post(Voice voice) {
  ballot_->mine = {voice.due ? 1 : 0, voice.failed ? 1 : 0, voice.writing ? 1 : 0, voice.stop};
  request_ = comm_.vote(ballot_->mine, ballot_->any);
}

void check_same_call(const Comm& comm, Call call, std::uint64_t step) {
  const auto [calls, steps] =
      ranges_of<2>(comm, {static_cast<std::uint64_t>(call), step});
  if (calls.least != calls.greatest) {
    throw Error(ErrorCode::invalid_argument,
                "the ranks make different calls at the same time (save, end, wait or restore): every "
                "rank must make the same collective calls in the same order");
  }
  if (steps.least != steps.greatest) {
    throw Error(ErrorCode::invalid_argument,
                "the step differs over ranks: from " + std::to_string(steps.least) + " to " +
                    std::to_string(steps.greatest) + "; expected the same global step everywhere");
  }
}

void check_same(const Comm& comm, std::uint64_t digest, std::string_view what) {
  constexpr std::int32_t kNobody = std::numeric_limits<std::int32_t>::max();
  WireWriter writer;
  writer.put(digest);
  const Bytes told = comm.broadcast(writer.take());
  const bool differs = WireReader(told).get<std::uint64_t>() != digest;
  const auto first = all_of<std::int32_t>(comm, differs ? comm.rank() : kNobody, MPI_MIN);
  if (first == kNobody) return;
  throw Error(ErrorCode::invalid_argument,
              std::string(what) + " must be the same on every rank; those of rank " +
                  std::to_string(first) + " differ from rank 0's",
              first);
}

}  // namespace cairn::coord
