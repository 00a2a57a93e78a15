#include "coord/comm.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "cairn/error.hpp"
#include "coord/patience.hpp"
#include "coord/together.hpp"

namespace cairn::coord {
namespace {

constexpr int kTag = 0;
/// How long a rank that waits may need to see a question and to answer.
constexpr std::chrono::milliseconds kForAnswers{2000};
/// What a rank had still joined before it took its leave is given time to complete.
constexpr std::chrono::milliseconds kAfterLeave{1000};
/// MPI counts are int; longer messages go in parts.
constexpr std::size_t kLargestPart = std::size_t{1} << 30;

bool mpi_is_up() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

int size_as_int(std::size_t bytes) { return static_cast<int>(bytes); }

}  // namespace

Comm::Comm(MPI_Comm original, std::chrono::seconds deadline) : deadline_(deadline) {
  if (!mpi_is_up()) {
    throw Error(ErrorCode::invalid_argument,
                "MPI is not running: call MPI_Init before, and MPI_Finalize after, using Cairn");
  }
  if (original == MPI_COMM_NULL) {
    throw Error(ErrorCode::invalid_argument, "the communicator is MPI_COMM_NULL");
  }
  check(MPI_Comm_dup(original, &comm_), "MPI_Comm_dup");
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  mailbox_.open(comm_);
}

Comm::Comm(const Comm& like, MPI_Comm duplicate)
    : comm_(duplicate),
      rank_(like.rank_),
      size_(like.size_),
      deadline_(like.deadline_),
      mailbox_(like.mailbox_.at(duplicate)) {
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

std::unique_ptr<Comm> Comm::twin() const {
  refuse_if_broken();
  const Lent<MPI_Comm> duplicate(broken_, MPI_COMM_NULL);
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Comm_idup(comm_, &*duplicate, &request), "MPI_Comm_idup");
  wait({&request, 1}, "all ranks in a duplication of the communicator");
  return std::unique_ptr<Comm>(new Comm(*this, *duplicate));
}

Comm::~Comm() {
  if (!broken_ && comm_ != MPI_COMM_NULL && mpi_is_up()) MPI_Comm_free(&comm_);
}

void Comm::check(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(ErrorCode::io,
              std::string(what) + " failed: " + std::string(text.data(), static_cast<std::size_t>(length)));
}

void Comm::demand(int code, std::string_view what) const {
  try {
    check(code, what);
  } catch (...) {
    fail();
  }
}

void Comm::fail() const {
  if (broken_ || size_ == 1) throw;  // all know
  left_ = true;
  broken_ = true;  // first: what follows may find no memory
  const std::string why = "failed with messages under way: " + std::string(current_error().what());
  mailbox_.tell_gone({rank_, true, why});
  throw Error(ErrorCode::unresponsive, "rank " + std::to_string(rank_) + " " + why, rank_);
}

void Comm::refuse_if_broken() const {
  if (broken_) {
    throw Error(
        ErrorCode::unresponsive,
        "a rank did not answer an earlier call, failed in it or has left; this object makes "
        "no more calls");
  }
}

void Comm::take_leave(std::string_view why) const {
  if (!broken_) mailbox_.tell_gone({rank_, true, std::string(why)});
}

void Comm::look_around(std::chrono::steady_clock::time_point since, std::string_view what) const {
  refuse_if_broken();  // another thread may have found out meanwhile
  const auto now = std::chrono::steady_clock::now();
  if (auto gone = mailbox_.look()) {
    gone_ = std::move(gone);
    gone_at_ = now;
  }
  if (gone_ && (!gone_->of_itself || now - std::max(since, gone_at_) > kAfterLeave)) {
    broken_ = true;
    left_ = gone_->of_itself;
    const std::string who = gone_->rank == rank_ ? "this rank" : mailbox_.describe(gone_->rank);
    throw Error(ErrorCode::unresponsive, "rank " + std::to_string(rank_) + " waited for " +
                                             std::string(what) + ", but " + who + " " + gone_->why,
                gone_->rank);
  }
  // The roll is called so early that the answers are there when the deadline passes.
  const std::chrono::milliseconds deadline(deadline_);
  if (now - since <= deadline - std::min(kForAnswers, deadline / 4)) return;
  if (asked_ != since) {
    asked_ = since;
    mailbox_.call_roll();
  }
  if (now - since <= deadline_) return;
  const std::vector<int> missing = mailbox_.silent();
  const std::string seconds = std::to_string(deadline_.count()) + " s";
  // The others need not wait any longer; nor does the missing one, should it come after all.
  const int blamed = missing.empty() ? rank_ : missing.front();
  mailbox_.tell_gone({blamed, false, missing.empty()
                                  ? "waited longer than " + seconds + " and gave up"
                                  : "did not answer within " + seconds + " and was given up by rank " +
                                        std::to_string(rank_)});
  broken_ = true;
  throw Error(ErrorCode::unresponsive,
              "rank " + std::to_string(rank_) + " waited longer than " + seconds + " for " +
                  std::string(what) + "; " + mailbox_.describe(missing),
              missing.empty() ? Error::kNoRank : missing.front());
}

void Comm::wait(std::span<MPI_Request> requests, std::string_view what) const {
  refuse_if_broken();
  constexpr unsigned kTestsBetweenLooks = 64;
  // Some ten microseconds. On a busy machine a core that is given away is gone for milliseconds: not
  // worth it where the other rank was interrupted for a moment.
  constexpr unsigned kTestsBeforePauses = 512;
  const auto since = std::chrono::steady_clock::now();
  Patience patience(Patience::kForAnswers);
  for (unsigned tests = 1;; ++tests) {
    int done = 0;
    demand(
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
        what);
    if (done != 0) return;
    // Whoever pauses looks each time: naps of a busy machine are long, and another's question waits.
    const bool is_pausing = tests > kTestsBeforePauses;
    if (is_pausing || tests % kTestsBetweenLooks == 0) look_around(since, what);
    if (is_pausing) patience.pause();
  }
}

bool Comm::wait_for(MPI_Request& request, std::chrono::seconds timeout) const {
  const auto since = std::chrono::steady_clock::now();
  Patience patience(Patience::kForAnswers);
  for (;;) {
    int done = 0;
    demand(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    const bool is_left = mailbox_.look().has_value();
    if (done != 0) return !is_left;
    if (is_left || std::chrono::steady_clock::now() - since > timeout) return false;
    patience.pause();
  }
}

void Comm::test_some(std::span<MPI_Request> requests, std::vector<int>& completed) const {
  refuse_if_broken();
  completed.resize(requests.size());
  int count = 0;
  demand(MPI_Testsome(static_cast<int>(requests.size()), requests.data(), &count, completed.data(),
                      MPI_STATUSES_IGNORE),
         "MPI_Testsome");
  completed.resize(count == MPI_UNDEFINED ? 0 : static_cast<std::size_t>(count));
}

MPI_Request Comm::vote(std::span<const std::int32_t> mine,
                       std::span<std::int32_t> greatest) const {
  refuse_if_broken();
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Iallreduce(mine.data(), greatest.data(), size_as_int(mine.size()), MPI_INT32_T,
                        MPI_MAX, comm_, &request),
         "MPI_Iallreduce");
  return request;
}

MPI_Request Comm::send(std::span<const std::byte> bytes, int to) const {
  refuse_if_broken();
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Isend(bytes.data(), size_as_int(bytes.size()), MPI_BYTE, to, kTag, comm_, &request),
         "MPI_Isend");
  return request;
}

MPI_Request Comm::receive(std::span<std::byte> bytes, int from) const {
  refuse_if_broken();
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Irecv(bytes.data(), size_as_int(bytes.size()), MPI_BYTE, from, kTag, comm_, &request),
         "MPI_Irecv");
  return request;
}

void Comm::allreduce_raw(std::span<std::byte> values, int count, MPI_Datatype type,
                         MPI_Op op) const {
  refuse_if_broken();
  const Lent<Bytes> lent(broken_, Bytes(values.begin(), values.end()));
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Iallreduce(MPI_IN_PLACE, lent->data(), count, type, op, comm_, &request),
         "MPI_Iallreduce");
  wait({&request, 1}, "all ranks in a reduction");
  std::ranges::copy(*lent, values.begin());
}

Bytes Comm::broadcast(Bytes own, int root) const {
  refuse_if_broken();
  const Lent<std::uint64_t> size(broken_, own.size());
  const Lent<Bytes> bytes(broken_, std::move(own));
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Ibcast(&*size, 1, MPI_UINT64_T, root, comm_, &request), "MPI_Ibcast");
  wait({&request, 1}, "a broadcast of rank " + std::to_string(root));
  bytes->resize(*size);
  for (std::size_t at = 0; at < bytes->size(); at += kLargestPart) {
    const std::size_t part = std::min(kLargestPart, bytes->size() - at);
    demand(MPI_Ibcast(bytes->data() + at, size_as_int(part), MPI_BYTE, root, comm_, &request),
           "MPI_Ibcast");
    wait({&request, 1}, "a broadcast of rank " + std::to_string(root));
  }
  return std::move(*bytes);
}

namespace {

void post_parts(std::vector<MPI_Request>& requests, std::span<std::byte> bytes, auto&& post) {
  for (std::size_t at = 0; at < bytes.size(); at += kLargestPart) {
    requests.push_back(post(bytes.subspan(at, std::min(kLargestPart, bytes.size() - at))));
  }
}

}  // namespace

std::vector<Bytes> Comm::gather(Bytes own) const {
  refuse_if_broken();
  using Sizes = std::vector<std::uint64_t>;
  const Lent<Sizes> sizes(broken_, Sizes(rank_ == 0 ? static_cast<std::size_t>(size_) : 0));
  const Lent<std::uint64_t> size(broken_, own.size());
  const Lent<Bytes> bytes(broken_, std::move(own));
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Igather(&*size, 1, MPI_UINT64_T, sizes->data(), 1, MPI_UINT64_T, 0, comm_, &request),
         "MPI_Igather");
  wait({&request, 1}, "the sizes of a gather");
  std::vector<MPI_Request> requests;
  if (rank_ != 0) {
    post_parts(requests, *bytes, [&](auto part) { return send(part, 0); });
    wait(requests, "rank 0 in a gather");
    return {};
  }
  const Lent<std::vector<Bytes>> all(broken_, std::vector<Bytes>(sizes->size()));
  for (std::size_t from = 1; from < all->size(); ++from) (*all)[from].resize((*sizes)[from]);
  for (std::size_t from = 1; from < all->size(); ++from) {
    post_parts(requests, (*all)[from],
               [&](auto part) { return receive(part, static_cast<int>(from)); });
  }
  all->front() = std::move(*bytes);
  wait(requests, "all ranks in a gather");
  return std::move(*all);
}

std::vector<Bytes> Comm::exchange(std::vector<Bytes> own) const {
  refuse_if_broken();
  const auto ranks = static_cast<std::size_t>(size_);
  const auto me = static_cast<std::size_t>(rank_);
  using Sizes = std::vector<std::uint64_t>;
  const Lent<Sizes> sending(broken_, Sizes(ranks));
  const Lent<Sizes> coming(broken_, Sizes(ranks));
  const Lent<std::vector<Bytes>> to(broken_, std::move(own));
  const Lent<std::vector<Bytes>> from(broken_, std::vector<Bytes>(ranks));
  for (std::size_t r = 0; r < ranks; ++r) (*sending)[r] = (*to)[r].size();
  MPI_Request request = MPI_REQUEST_NULL;
  demand(MPI_Ialltoall(sending->data(), 1, MPI_UINT64_T, coming->data(), 1, MPI_UINT64_T, comm_,
                       &request),
         "MPI_Ialltoall");
  wait({&request, 1}, "the sizes of an exchange");
  std::vector<MPI_Request> requests;
  for (std::size_t r = 0; r < ranks; ++r) {
    if (r != me) (*from)[r].resize((*coming)[r]);
  }
  for (std::size_t r = 0; r < ranks; ++r) {
    if (r == me) continue;
    post_parts(requests, (*from)[r], [&](auto part) { return receive(part, static_cast<int>(r)); });
  }
  for (std::size_t r = 0; r < ranks; ++r) {
    if (r == me) continue;
    post_parts(requests, (*to)[r], [&](auto part) { return send(part, static_cast<int>(r)); });
  }
  (*from)[me] = std::move((*to)[me]);
  wait(requests, "all ranks in an exchange");
  return std::move(*from);
}

}  // namespace cairn::coord
