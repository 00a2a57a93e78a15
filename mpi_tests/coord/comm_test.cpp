#include "coord/comm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>

#include "coord/in_flight.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"

namespace {
int freed_communicators = 0;
int calls_of_the_users_handler = 0;
}  // namespace

// What Cairn calls goes through here first.
extern "C" int MPI_Comm_free(MPI_Comm* comm) {
  ++freed_communicators;
  return PMPI_Comm_free(comm);
}

namespace cairn::coord {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}
int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// What `from` says to `to`: as many bytes as asked for, different for each pair.
Bytes message(int from, int to, std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(i * 13 + i / 256 + 17 * static_cast<std::size_t>(from) +
                                      101 * static_cast<std::size_t>(to));
  }
  return bytes;
}

/// The Error that `call` throws, by value; it must throw one.
template <class Call>
Error error_of(Call&& call) {
  if (auto error = attempt(std::forward<Call>(call))) return *error;
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::io, "nothing"};
}

class CommTest : public ::testing::Test {
 protected:
  void TearDown() override { MPI_Barrier(MPI_COMM_WORLD); }

  /// Every rank saw the same error: compared with rank 0's.
  void expect_same_everywhere(const Error& error) const {
    WireWriter writer;
    writer.put(error.code()).put(error.rank()).put_text(error.what());
    const Bytes mine = writer.take();
    EXPECT_EQ(comm_.broadcast(mine), mine) << error.what();
  }

  const Comm comm_{MPI_COMM_WORLD, seconds(60)};
  const int rank_ = world_rank();
  const int size_ = world_size();
};

TEST_F(CommTest, HasTheRanksOfTheOriginalButIsAnother) {
  EXPECT_EQ(comm_.rank(), rank_);
  EXPECT_EQ(comm_.size(), size_);
  int relation = MPI_UNEQUAL;
  MPI_Comm_compare(comm_.handle(), MPI_COMM_WORLD, &relation);
  EXPECT_EQ(relation, MPI_CONGRUENT);
}

TEST_F(CommTest, NoCommunicatorIsRefused) {
  const Error error = error_of([] { const Comm none(MPI_COMM_NULL, seconds(60)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("MPI_COMM_NULL"));
}

TEST_F(CommTest, DestructionFreesTheDuplicate) {
  const int before = freed_communicators;
  { const Comm another(MPI_COMM_WORLD, seconds(60)); }
  EXPECT_EQ(freed_communicators, before + 1);
}

// ---- Collectives

TEST_F(CommTest, AllreduceCombinesElementByElement) {
  std::array<std::uint64_t, 3> sums{1, static_cast<std::uint64_t>(rank_), std::uint64_t{1} << 40};
  comm_.allreduce(std::span<std::uint64_t>(sums), MPI_SUM);
  const auto n = static_cast<std::uint64_t>(size_);
  EXPECT_THAT(sums, ::testing::ElementsAre(n, n * (n - 1) / 2, n << 40));
  EXPECT_EQ(all_of<std::int32_t>(comm_, -rank_, MPI_MIN), 1 - size_);
  EXPECT_EQ(all_of<std::int64_t>(comm_, rank_, MPI_MAX), size_ - 1);
  EXPECT_EQ(all_of<double>(comm_, 0.5, MPI_SUM), 0.5 * size_);
  EXPECT_EQ(all_of<std::uint8_t>(comm_, static_cast<std::uint8_t>(1U << rank_), MPI_BOR),
            (1U << size_) - 1);
}

TEST_F(CommTest, AllreduceOfNothingIsNothing) {
  EXPECT_NO_THROW(comm_.allreduce(std::span<double>(), MPI_SUM));
}

TEST_F(CommTest, BroadcastGivesEveryRankTheRootsBytesWhateverTheyPass) {
  for (int root = 0; root < size_; ++root) {
    for (const std::size_t size : {0, 1, 100, 3'000'001}) {
      const Bytes told = message(root, 0, size);
      const Bytes passed = rank_ == root ? told : message(rank_, 5, 7);
      EXPECT_EQ(comm_.broadcast(passed, root), told) << "root " << root << ", " << size << " bytes";
    }
  }
}

TEST_F(CommTest, GatherGivesRankZeroWhatEachPasses) {
  for (const std::size_t unit : {0, 1, 1'000'000}) {
    // The last one passes nothing.
    const auto size_of = [&](int r) { return unit * static_cast<std::size_t>(size_ - 1 - r); };
    const auto all = comm_.gather(message(rank_, 0, size_of(rank_)));
    if (rank_ != 0) {
      EXPECT_THAT(all, IsEmpty());
      continue;
    }
    ASSERT_EQ(all.size(), static_cast<std::size_t>(size_));
    for (int r = 0; r < size_; ++r) {
      EXPECT_EQ(all[static_cast<std::size_t>(r)], message(r, 0, size_of(r))) << "of rank " << r;
    }
  }
}

TEST_F(CommTest, ExchangeBringsEachMessageToItsRank) {
  for (const std::size_t unit : {0, 1, 700'000}) {
    // Empty for some pairs, to oneself among them, and of different sizes for all others.
    const auto size_of = [&](int from, int to) {
      return unit * static_cast<std::size_t>((from * 2 + to * 3) % 5);
    };
    std::vector<Bytes> to;
    for (int r = 0; r < size_; ++r) to.push_back(message(rank_, r, size_of(rank_, r)));
    const auto from = comm_.exchange(std::move(to));
    ASSERT_EQ(from.size(), static_cast<std::size_t>(size_));
    for (int r = 0; r < size_; ++r) {
      EXPECT_EQ(from[static_cast<std::size_t>(r)], message(r, rank_, size_of(r, rank_)))
          << "from rank " << r;
    }
  }
}

TEST_F(CommTest, MessagesOfAPairArriveInTheirOrder) {
  constexpr int kMessages = 50;
  const int to = (rank_ + 1) % size_;
  const int from = (rank_ + size_ - 1) % size_;
  std::vector<Bytes> out(kMessages);
  std::vector<Bytes> in(kMessages);
  InFlight<int> receives;
  std::vector<MPI_Request> sends;
  for (int i = 0; i < kMessages; ++i) {
    const auto n = static_cast<std::size_t>(i);
    out[n] = message(rank_, i, 1 + 1000 * n);
    in[n].resize(out[n].size());
    receives.add(comm_.receive(in[n], from), i);
    sends.push_back(comm_.send(out[n], to));
  }
  std::vector<int> done;
  while (!receives.empty()) receives.collect(comm_, [&](int i) { done.push_back(i); });
  comm_.wait(sends, "sends");
  std::ranges::sort(done);
  for (int i = 0; i < kMessages; ++i) {
    const auto n = static_cast<std::size_t>(i);
    EXPECT_EQ(done[n], i);
    EXPECT_EQ(in[n], message(from, i, in[n].size())) << i;
  }
}

// ---- The user's communicator

class UsersCommTest : public CommTest {
 protected:
  void SetUp() override {
    MPI_Comm_dup(MPI_COMM_WORLD, &users_);
    MPI_Comm_create_errhandler(&count_call, &handler_);
    MPI_Comm_set_errhandler(users_, handler_);
  }
  void TearDown() override {
    MPI_Errhandler_free(&handler_);
    PMPI_Comm_free(&users_);
    CommTest::TearDown();
  }

  static void count_call(MPI_Comm* /*comm*/, int* /*code*/, ...) { ++calls_of_the_users_handler; }

  MPI_Comm users_ = MPI_COMM_NULL;
  MPI_Errhandler handler_ = MPI_ERRHANDLER_NULL;
};

TEST_F(UsersCommTest, ItsErrorHandlerStaysAndIsNotCalledForErrorsOfCairn) {
  const Comm own(users_, seconds(60));
  const Error error = error_of([&] {
    MPI_Request request = own.send({}, own.size() + 5);
    own.wait({&request, 1}, "a rank that does not exist");
  });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("MPI_Isend failed"), HasSubstr("MPI_ERR_RANK")));
  // Others might wait for what failed.
  EXPECT_EQ(error.code(), size_ == 1 ? ErrorCode::io : ErrorCode::unresponsive);
  EXPECT_EQ(own.is_broken(), size_ > 1);
  EXPECT_EQ(calls_of_the_users_handler, 0);
  MPI_Errhandler now = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(users_, &now);
  EXPECT_EQ(now, handler_);
  MPI_Errhandler_free(&now);
}

TEST_F(UsersCommTest, ItsMessagesAndCairnsDoNotMeet) {
  const Comm own(users_, seconds(60));
  int anything = 0;
  MPI_Request users = MPI_REQUEST_NULL;
  MPI_Irecv(&anything, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, users_, &users);
  std::vector<Bytes> to(static_cast<std::size_t>(size_), Bytes(sizeof(int)));
  static_cast<void>(own.exchange(std::move(to)));
  int received = 1;
  MPI_Test(&users, &received, MPI_STATUS_IGNORE);
  EXPECT_EQ(received, 0);
  const int word = 42;
  MPI_Sendrecv(&word, 1, MPI_INT, rank_, 0, nullptr, 0, MPI_INT, MPI_PROC_NULL, 0, users_,
               MPI_STATUS_IGNORE);
  MPI_Wait(&users, MPI_STATUS_IGNORE);
  EXPECT_EQ(anything, 42);
}

// ---- All ranks fail together

using TogetherTest = CommTest;

TEST_F(TogetherTest, WhereNoRankFailsAllReturn) {
  int runs = 0;
  EXPECT_NO_THROW(run_together(comm_, [&] { ++runs; }));
  EXPECT_NO_THROW(settle(comm_, std::nullopt));
  EXPECT_EQ(runs, 1);
}

TEST_F(TogetherTest, TheLowestFailingRanksErrorIsThrownEverywhere) {
  constexpr std::array kCodes{ErrorCode::damaged, ErrorCode::no_space, ErrorCode::wrong_key,
                              ErrorCode::mismatch};
  for (int lowest = 0; lowest < size_; ++lowest) {
    const Error error = error_of([&] {
      run_together(comm_, [&] {
        if (rank_ < lowest) return;
        throw Error(kCodes[static_cast<std::size_t>(rank_)], "step of " + std::to_string(rank_));
      });
    });
    EXPECT_EQ(error.code(), kCodes[static_cast<std::size_t>(lowest)]);
    EXPECT_EQ(error.rank(), lowest);
    const std::string text = "step of " + std::to_string(lowest);
    EXPECT_EQ(error.what(), size_ == 1 ? text : "rank " + std::to_string(lowest) + ": " + text);
    expect_same_everywhere(error);
  }
}

TEST_F(TogetherTest, WhatConcernsAllRanksBlamesNobody) {
  const Error error = error_of([&] {
    run_together(
        comm_, [&] { throw Error(ErrorCode::layout, "by " + std::to_string(rank_)); },
        Blame::nobody);
  });
  EXPECT_EQ(error.code(), ErrorCode::layout);
  EXPECT_EQ(error.rank(), Error::kNoRank);
  EXPECT_STREQ(error.what(), "by 0");
  expect_same_everywhere(error);
}

TEST_F(TogetherTest, AnErrorThatNamesItsRankKeepsIt) {
  const Error error = error_of(
      [&] { run_together(comm_, [] { throw Error(ErrorCode::layout, "rank 9 did it", 9); }); });
  EXPECT_EQ(error.rank(), 9);
  EXPECT_STREQ(error.what(), "rank 9 did it");
}

TEST_F(TogetherTest, ExceptionsOfOtherTypesAreTranslated) {
  const int last = size_ - 1;
  const std::array<std::pair<void (*)(), const char*>, 3> kinds{
      {{[] { throw std::bad_alloc(); }, "out of memory"},
       {[] { throw std::out_of_range("beyond"); }, "beyond"},
       {[] { throw 42; }, "unknown type"}}};
  for (const auto& [thrower, expected] : kinds) {
    const Error error = error_of([&, thrower = thrower] {
      run_together(comm_, [&] {
        if (rank_ == last) thrower();
      });
    });
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_EQ(error.rank(), last);
    EXPECT_THAT(error.what(), HasSubstr(expected));
    expect_same_everywhere(error);
  }
}

TEST_F(TogetherTest, WhatRunsOnTheRootRunsThereAloneAndFailsEverywhere) {
  int runs = 0;
  run_on_root(comm_, [&] { ++runs; });
  EXPECT_EQ(runs, rank_ == 0 ? 1 : 0);
  const Error error = error_of(
      [&] { run_on_root(comm_, [] { throw Error(ErrorCode::not_found, "no such file"); }); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_STREQ(error.what(), "no such file");
  expect_same_everywhere(error);
}

TEST_F(TogetherTest, ALongMessageArrivesWhole) {
  const std::string text(1'000'000, 'x');
  const Error error = error_of([&] {
    run_together(
        comm_, [&] { throw Error(ErrorCode::mismatch, text); }, Blame::nobody);
  });
  EXPECT_EQ(error.what(), text);
}

// ---- The same call everywhere

using SameCallTest = CommTest;

TEST_F(SameCallTest, TheSameCallForTheSameStepGoesOn) {
  EXPECT_NO_THROW(check_same_call(comm_, Call::save, 7));
  EXPECT_NO_THROW(check_same_call(comm_, Call::end, ~std::uint64_t{0}));
  EXPECT_NO_THROW(check_same_call(comm_, Call::restore, 0));
}

TEST_F(SameCallTest, DifferentCallsAreAnErrorEverywhere) {
  if (size_ == 1) GTEST_SKIP() << "needs two ranks";
  const Error error =
      error_of([&] { check_same_call(comm_, rank_ == size_ - 1 ? Call::end : Call::save, 7); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("different calls"));
  expect_same_everywhere(error);
}

TEST_F(SameCallTest, DifferentStepsAreAnErrorThatNamesThem) {
  if (size_ == 1) GTEST_SKIP() << "needs two ranks";
  const Error error = error_of([&] { check_same_call(comm_, Call::save, rank_ == 1 ? 12 : 7); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("from 7 to 12"));
  expect_same_everywhere(error);
}

TEST_F(SameCallTest, DifferentDigestsAreAnErrorThatNamesWhatDiffers) {
  EXPECT_NO_THROW(check_same(comm_, 99, "the settings"));
  if (size_ == 1) return;
  const auto digest = static_cast<std::uint64_t>(rank_ == 0 ? 1 : 2);
  const Error error = error_of([&] { check_same(comm_, digest, "the settings"); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("the settings must be the same on every rank"));
}

// ---- The vote of each step

using StepVoteTest = CommTest;

TEST_F(StepVoteTest, BeforeTheFirstVoteNothingIsDue) {
  StepVote vote(comm_);
  EXPECT_FALSE(vote.complete());
  EXPECT_FALSE(vote.complete());
}

TEST_F(StepVoteTest, WhatOneRankSaysActsEverywhereOneStepLate) {
  StepVote vote(comm_);
  for (int step = 0; step < 40; ++step) {
    const auto heard = vote.complete();
    ASSERT_EQ(heard.has_value(), step > 0) << "step " << step;
    if (heard) {
      EXPECT_EQ(heard->due, (step - 1) % 5 == 0) << "step " << step;
      EXPECT_EQ(heard->writing, (step - 1) % 3 == 0) << "step " << step;
    }
    vote.post({.due = step % 5 == 0 && rank_ == (step / 5) % size_,
               .writing = step % 3 == 0 && rank_ == (step / 3) % size_});
  }
  EXPECT_TRUE(vote.complete());
}

TEST_F(StepVoteTest, ACompletedVoteIsNotCompletedTwice) {
  StepVote vote(comm_);
  vote.post({.due = true});
  EXPECT_TRUE(vote.complete());
  EXPECT_FALSE(vote.complete());
}

TEST_F(StepVoteTest, PostingWaitsForNobody) {
  StepVote vote(comm_);
  int word = 0;
  // The other ranks vote when they hear from rank 0, which votes before it speaks.
  if (rank_ != 0) MPI_Recv(&word, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  vote.post({.due = rank_ == 0});
  for (int r = 1; rank_ == 0 && r < size_; ++r) MPI_Send(&word, 1, MPI_INT, r, 0, MPI_COMM_WORLD);
  EXPECT_TRUE(vote.complete()->due);
}

// ---- Deadlines

/// The last rank does not come to a call of the others.
class DeadlineTest : public CommTest {
 protected:
  static constexpr seconds kDeadline{1};

  void SetUp() override {
    if (size_ == 1) GTEST_SKIP() << "needs two ranks";
    own_ = std::make_unique<Comm>(MPI_COMM_WORLD, kDeadline);
  }

  [[nodiscard]] bool is_missing() const { return rank_ == size_ - 1; }

  /// Runs `call` on the survivors; the missing rank does `its_part` of it at most, and waits elsewhere
  /// until they gave up.
  template <class Call>
  std::optional<Error> without_the_last(Call&& call,
                                        const std::function<void()>& its_part = {}) const {
    std::int64_t waited = 0;
    if (is_missing()) {
      if (its_part) its_part();
      std::int64_t longest = 0;
      for (int r = 0; r < size_ - 1; ++r) {
        MPI_Recv(&waited, 1, MPI_INT64_T, r, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        longest = std::max(longest, waited);
      }
      // Whoever began first gives up first, and tells the others, which may have begun later.
      EXPECT_GE(milliseconds(longest), kDeadline);
      return std::nullopt;
    }
    const auto begin = steady_clock::now();
    auto error = attempt(call);
    waited = std::chrono::ceil<milliseconds>(steady_clock::now() - begin).count();
    MPI_Send(&waited, 1, MPI_INT64_T, size_ - 1, 0, MPI_COMM_WORLD);
    return error;
  }

  void expect_unresponsive(const std::optional<Error>& error, const std::string& what) const {
    if (is_missing()) return;
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::unresponsive);
    // Who gave up first told the others; all name the one that is missing, and its host.
    EXPECT_THAT(error->what(), AllOf(HasSubstr("rank " + std::to_string(rank_) + " waited "),
                                     HasSubstr(" for " + what),
                                     HasSubstr("rank " + std::to_string(size_ - 1) + " (host ")));
    EXPECT_EQ(error->rank(), size_ - 1);
  }

  std::unique_ptr<Comm> own_;
};

TEST_F(DeadlineTest, AReductionThatARankDoesNotJoinIsUnresponsive) {
  expect_unresponsive(without_the_last([&] { all_of<double>(*own_, 1, MPI_SUM); }),
                      "all ranks in a reduction");
}

TEST_F(DeadlineTest, ABroadcastWhoseRootDoesNotComeIsUnresponsive) {
  const int root = size_ - 1;
  expect_unresponsive(
      without_the_last([&] { static_cast<void>(own_->broadcast(Bytes(100), root)); }),
      "a broadcast of rank " + std::to_string(root));
}

TEST_F(DeadlineTest, AnExchangeThatARankDoesNotJoinIsUnresponsive) {
  expect_unresponsive(without_the_last([&] {
                        static_cast<void>(own_->exchange(
                            std::vector<Bytes>(static_cast<std::size_t>(size_), Bytes(10))));
                      }),
                      "the sizes of an exchange");
}

TEST_F(DeadlineTest, AnExchangeWhoseSizesCameButNotTheBytesIsUnresponsive) {
  const auto count = static_cast<std::size_t>(size_);
  const auto sizes_only = [&] {
    std::vector<std::uint64_t> sizes(count, 10);
    std::vector<std::uint64_t> theirs(count);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ialltoall(sizes.data(), 1, MPI_UINT64_T, theirs.data(), 1, MPI_UINT64_T, own_->handle(),
                  &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  };
  const auto exchange = [&] {
    static_cast<void>(own_->exchange(std::vector<Bytes>(count, Bytes(10))));
  };
  expect_unresponsive(without_the_last(exchange, sizes_only), "all ranks in an exchange");
}

TEST_F(DeadlineTest, ABroadcastWhoseSizeCameButNotTheBytesIsUnresponsive) {
  const int root = size_ - 1;
  const auto size_only = [&] {
    std::uint64_t size = 100;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibcast(&size, 1, MPI_UINT64_T, root, own_->handle(), &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  };
  expect_unresponsive(
      without_the_last([&] { static_cast<void>(own_->broadcast(Bytes(), root)); }, size_only),
      "a broadcast of rank " + std::to_string(root));
}

TEST_F(DeadlineTest, AMessageThatDoesNotComeIsUnresponsive) {
  Bytes bytes(10);
  expect_unresponsive(without_the_last([&] {
                        MPI_Request request = own_->receive(bytes, size_ - 1);
                        own_->wait({&request, 1}, "a message");
                      }),
                      "a message");
}

/// Only rank 0 waits in a gather: the others wait for each other after it.
TEST_F(DeadlineTest, AGatherThatARankDoesNotJoinIsUnresponsiveAtItsRoot) {
  const auto gather = [&] {
    static_cast<void>(own_->gather(Bytes(10)));
    all_of<double>(*own_, 1, MPI_SUM);
  };
  expect_unresponsive(without_the_last(gather),
                      rank_ == 0 ? "the sizes of a gather" : "all ranks in a reduction");
}

TEST_F(DeadlineTest, AGatherWhoseSizesCameButNotTheBytesIsUnresponsiveAtItsRoot) {
  const auto gather = [&] {
    static_cast<void>(own_->gather(Bytes(10)));
    all_of<double>(*own_, 1, MPI_SUM);
  };
  const auto size_only = [&] {
    const std::uint64_t size = 10;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Igather(&size, 1, MPI_UINT64_T, nullptr, 0, MPI_UINT64_T, 0, own_->handle(), &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  };
  expect_unresponsive(without_the_last(gather, size_only),
                      rank_ == 0 ? "all ranks in a gather" : "all ranks in a reduction");
}

TEST_F(DeadlineTest, AVoteThatARankDoesNotCastIsUnresponsive) {
  const auto error = without_the_last([&] {
    StepVote vote(*own_);
    vote.post({.due = true});
    vote.complete();
  });
  expect_unresponsive(error, "the vote of the step before");
}

TEST_F(DeadlineTest, ARankThatFailsAloneFindsNobodyToSettleWith) {
  const auto error = without_the_last(
      [&] { run_together(*own_, [] { throw Error(ErrorCode::damaged, "alone"); }); });
  expect_unresponsive(error, "all ranks in a reduction");
}

TEST_F(DeadlineTest, AfterItEveryCallIsRefusedAtOnceAndNothingIsFreed) {
  const Comm& own = *own_;
  StepVote vote(own);
  if (!is_missing()) vote.post({});
  static_cast<void>(without_the_last([&] { vote.complete(); }));
  if (is_missing()) return;
  const auto begin = steady_clock::now();
  Bytes bytes(8);
  std::int32_t mine = 1;
  std::int32_t greatest = 0;
  MPI_Request none = MPI_REQUEST_NULL;
  std::vector<int> completed;
  const auto expect_refused = [](const char* what, auto&& call) {
    const Error error = error_of(call);
    EXPECT_EQ(error.code(), ErrorCode::unresponsive) << what;
    EXPECT_THAT(error.what(), HasSubstr("did not answer an earlier call")) << what;
  };
  expect_refused("allreduce", [&] { all_of<double>(own, 1, MPI_SUM); });
  expect_refused("broadcast", [&] { static_cast<void>(own.broadcast({})); });
  expect_refused("gather", [&] { static_cast<void>(own.gather({})); });
  expect_refused("exchange", [&] { static_cast<void>(own.exchange({})); });
  expect_refused("vote", [&] { static_cast<void>(own.vote({&mine, 1}, {&greatest, 1})); });
  expect_refused("vote complete", [&] { vote.complete(); });
  expect_refused("send", [&] { static_cast<void>(own.send(bytes, 0)); });
  expect_refused("receive", [&] { static_cast<void>(own.receive(bytes, 0)); });
  expect_refused("test", [&] { own.test_some({&none, 1}, completed); });
  expect_refused("wait", [&] { own.wait({&none, 1}, "nothing"); });
  expect_refused("settle", [&] { settle(own, std::nullopt); });
  expect_refused("check_same_call", [&] { check_same_call(own, Call::end, 1); });
  EXPECT_LT(steady_clock::now() - begin, kDeadline);
  const int before = freed_communicators;
  own_.reset();
  EXPECT_EQ(freed_communicators, before);
}

TEST_F(DeadlineTest, ARankThatComesTooLateWritesIntoNobodysMemory) {
  constexpr std::uint64_t kMine = 0x5A5A5A5A5A5A5A5A;
  std::vector<std::uint64_t> values(1000, kMine);
  static_cast<void>(
      without_the_last([&] { own_->allreduce(std::span<std::uint64_t>(values), MPI_BAND); }));
  const bool late = is_missing();
  if (late) {
    // What the others posted is still there, and the reduction may complete behind their backs,
    // unless this rank hears first that they have given it up.
    values.assign(values.size(), 0);
    static_cast<void>(
        attempt([&] { own_->allreduce(std::span<std::uint64_t>(values), MPI_BAND); }));
    EXPECT_EQ(values.front(), 0U);
  }
  MPI_Request everybody = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &everybody);
  MPI_Wait(&everybody, MPI_STATUS_IGNORE);
  // Whatever arrives here arrives now.
  for (int i = 0; i < 1000; ++i) {
    int flag = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  }
  EXPECT_EQ(values, std::vector<std::uint64_t>(1000, late ? 0 : kMine));
}

TEST_F(DeadlineTest, AMissingRankThatComesAfterAllIsToldThatItWasGivenUp) {
  static_cast<void>(without_the_last([&] { all_of<double>(*own_, 1, MPI_SUM); }));
  if (!is_missing()) return;
  // No deadline of its own passes.
  const auto begin = steady_clock::now();
  std::byte letter{};
  MPI_Request request = own_->receive({&letter, 1}, 0);
  const Error error = error_of([&] { own_->wait({&request, 1}, "a letter"); });
  EXPECT_EQ(error.code(), ErrorCode::unresponsive);
  EXPECT_EQ(error.rank(), rank_);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("this rank did not answer within 1 s"),
                                  HasSubstr("was given up by rank ")));
  EXPECT_LT(steady_clock::now() - begin, kDeadline);
}

TEST_F(DeadlineTest, ARankThatTakesItsLeaveIsNamedLongBeforeTheDeadline) {
  const Comm patient(MPI_COMM_WORLD, seconds(60));
  if (is_missing()) {
    patient.take_leave("went home");
    patient.give_up();
    return;
  }
  const auto begin = steady_clock::now();
  const Error error = error_of([&] { all_of<double>(patient, 1, MPI_SUM); });
  EXPECT_LT(steady_clock::now() - begin, seconds(30));
  EXPECT_EQ(error.code(), ErrorCode::unresponsive);
  EXPECT_EQ(error.rank(), size_ - 1);
  EXPECT_THAT(error.what(), HasSubstr("went home"));
  EXPECT_TRUE(patient.was_left());
}

TEST_F(DeadlineTest, WhatTheLeavingRankHadJoinedStillCompletes) {
  const Comm patient(MPI_COMM_WORLD, seconds(60));
  EXPECT_EQ(all_of<std::int32_t>(patient, 1, MPI_SUM), size_);
  if (is_missing()) patient.take_leave("went home");
  MPI_Barrier(MPI_COMM_WORLD);
  // All join, the one that left too.
  EXPECT_EQ(all_of<std::int32_t>(patient, 1, MPI_SUM), size_);
}

TEST_F(DeadlineTest, ARankThatWaitsElsewhereInTheSameConversationAnswers) {
  // Nobody sends what all wait for: no rank is missing.
  std::byte letter{};
  MPI_Request request = own_->receive({&letter, 1}, (rank_ + 1) % size_);
  const Error error = error_of([&] { own_->wait({&request, 1}, "a letter"); });
  EXPECT_EQ(error.code(), ErrorCode::unresponsive);
  EXPECT_THAT(error.what(), ::testing::AnyOf(HasSubstr("every rank answers"),
                                             HasSubstr("waited longer than 1 s and gave up")));
}

TEST_F(DeadlineTest, ACommThatNobodyLetDownGoesOn) {
  static_cast<void>(without_the_last([&] { all_of<double>(*own_, 1, MPI_SUM); }));
  EXPECT_EQ(all_of<std::int32_t>(comm_, 1, MPI_SUM), size_);
}

TEST_F(DeadlineTest, WhatMovesInTimeIsNotLate) {
  EXPECT_NO_THROW(own_->look_around(steady_clock::now(), "nothing"));
  EXPECT_EQ(all_of<std::int32_t>(*own_, 1, MPI_SUM), size_) << "it was not broken by the look";
  // One rank alone: whoever looks later may hear first that another gave up.
  if (rank_ != 0) return;
  const Error error =
      error_of([&] { own_->look_around(steady_clock::now() - milliseconds(1001), "pieces"); });
  EXPECT_EQ(error.code(), ErrorCode::unresponsive);
  EXPECT_THAT(error.what(), HasSubstr("1 s for pieces"));
}

}  // namespace
}  // namespace cairn::coord
