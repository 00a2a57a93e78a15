// A save from beginning to end. The numbers are the steps of the commit, which storage/commit.cpp
// tells in full, with its invariants; a Target takes them, for one file or for shards.
//
//   planning    every rank describes what it holds; the plan is made, or used again
//   capturing   (asynchronous) each rank copies what it contributes
//   reserving   (1) temporary files of their final length
//   moving      (2) pieces to owners, blocks to the disk
//   syncing     (5) what needs nothing of other ranks; (3) every rank syncs what it wrote;
//               (4) all agree
//   completing  (5) rank 0 writes head and tail, or the index; (6) directories are durable
//   publishing  (7) (8) rank 0 renames; (9) all ranks learn the outcome
//   afterwards  (10) the names of what was replaced go, and what the caller does; nobody waits for
//               the files themselves (storage/trash)
//
// Which thread does what in an asynchronous save depends on what MPI allows. T is the thread that
// calls, B the one in the background, F the call of `finish`:
//
//                  planning  capturing   reserving  moving             syncing  the rest  afterwards
//   MULTIPLE       T         T, lazy: B  B          B                  B        B         B
//   less           T         T           T          exchange T,        B        F         B
//                                                   writing B
//   less, lazy     T         B           T          B (no exchange)    B        F         B
//
// What comes afterwards begins in F: before F the checkpoint is nobody's newest, and the one that is
// must not be deleted.
//
// Below MULTIPLE the background makes no MPI call. In both, T and B are never inside the same
// attempt at once: B begins where T has left it, and T touches it again only after B has ended.
//
// Between two communications a rank only does local steps that cannot throw past them: errors are
// kept and settled, so that all ranks leave together by the same one.
#include "coord/saver.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "coord/capture.hpp"
#include "coord/capture_check.hpp"
#include "coord/file_target.hpp"
#include "coord/forsake.hpp"
#include "coord/hosts.hpp"
#include "coord/keeper.hpp"
#include "coord/live_supply.hpp"
#include "coord/map_save.hpp"
#include "coord/progress.hpp"
#include "coord/save_engine.hpp"
#include "coord/together.hpp"

namespace cairn::coord {

/// One save on its way.
struct Saver::Attempt {
  Attempt(const Job& job, SaveRequest agreed, int rank)
      : request(std::move(agreed)),
        afterwards(job.afterwards),
        progress(job.listener, {.path = request.path,
                                .step = request.record.step,
                                .sequence = request.record.sequence,
                                .rank = job.kind == SaveKind::lone ? job.lone_rank : rank,
                                .alone = job.kind == SaveKind::lone}) {}

  SaveRequest request;
  Afterwards afterwards;
  Capturing capturing;
  Progress progress;
  SaveReport report;
  std::unique_ptr<MapSave> maps;
  Planned planned;
  std::vector<SliceAccess> slices;  ///< by `Holding::entry`
  std::optional<Capture> capture;
  std::optional<CaptureCheck> check;
  std::atomic<bool> captured{false};
  std::optional<Error> error;  ///< of this rank, not settled yet; after (4), of all
};

Saver::Saver(MPI_Comm comm, const WriteOptions& options, storage::Protection protection)
    : comm_(comm, options.deadline),
      settings_{options, std::move(protection), count_hosts(comm_), &trash_},
      threads_(takes_any_thread(comm_)),
      planner_(comm_, settings_) {}

Saver::~Saver() { rest(); }

SaveReport Saver::save(const Job& job) {
  begin(job);
  watch([&] {
    reserve();
    attempt_->progress.enter(Phase::moving);
    attempt_->error = move_live();
    attempt_->progress.captured();
    sync();
    commit();
  });
  attempt_->maps->commit();
  attempt_->progress.release();
  attempt_->progress.committed();
  clean_up();
  return std::exchange(attempt_, nullptr)->report;
}

void Saver::start(const Job& job, Capturing capturing) {
  begin(job);
  watch([&] {
    attempt_->capturing = capturing;
    check_asynchronous();
    run_together(comm_, [&] { prepare_capture(); });
    if (!capturing.lazy) take_values();
    if (!threads_) {
      reserve();
      if (!capturing.lazy) exchange();
    }
    attempt_->progress.release();
  });
  background_.start([this] { threads_ ? work_together() : work_alone(); });
  under_way_ = true;
}

/// What is the same for all saves. Rank 0 decides, all describe and plan.
void Saver::begin(const Job& job) {
  wait_cleaned();
  attempt_ = std::make_unique<Attempt>(job, agree_on(comm_, job.request), comm_.rank());
  last_request_ = attempt_->request;
  attempt_->progress.hold();
  attempt_->progress.started();
  watch([&] {
    attempt_->progress.enter(Phase::planning);
    attempt_->maps = std::make_unique<MapSave>(comm_, job.state, job.kind, job.incremental,
                                               attempt_->request.record);
    const State& state = attempt_->maps->entries();
    attempt_->planned =
        job.kind == SaveKind::lone
            ? planner_.plan_alone(state, job.lone_block_bytes, attempt_->request)
            : planner_.plan(state, job.kind, attempt_->request);
  });
  structure_is_new_ = structure_is_new_ || !attempt_->planned.reused;
  attempt_->report.path = attempt_->request.path;
}

/// Collective. Throws where this save cannot be done asynchronously.
void Saver::check_asynchronous() const {
  const Writer writer = settings_.write.writer;
  if (writer == Writer::hdf5 || (writer == Writer::mpiio && !threads_)) {
    throw Error(ErrorCode::invalid_argument,
                "async_save cannot be done by the writer " + std::string(to_string(writer)) +
                    (writer == Writer::hdf5 ? ": HDF5 is not safe with threads"
                                            : ": it needs MPI_THREAD_MULTIPLE"));
  }
  if (!attempt_->capturing.lazy || threads_) return;
  attempt_->maps->refuse_exchange("lazy_capture without MPI_THREAD_MULTIPLE");
  const std::uint64_t messages = attempt_->planned.routes->messages.size();
  const auto most = all_of<std::uint64_t>(comm_, messages, MPI_MAX);
  if (most == 0) return;
  throw Error(ErrorCode::invalid_argument,
              "lazy_capture needs MPI_THREAD_MULTIPLE (MPI_Init_thread) where ranks exchange "
              "values, and here a rank sends up to " + std::to_string(most) +
                  " messages; shards need no exchange");
}

void Saver::prepare_capture() {
  const std::span<const State::Entry> entries(attempt_->maps->entries().entries());
  background_.prepare();
  attempt_->slices = attempt_->planned.target->slices(entries);
  attempt_->capture.emplace(*attempt_->planned.routes, capture_memory_);
  if (attempt_->capturing.lazy && attempt_->capturing.check) {
    attempt_->check.emplace(entries.first(attempt_->maps->plain_entries()));
  }
}

/// Local, or collective where ranks exchange entries of MapParameters.
void Saver::take_values() {
  attempt_->progress.enter(Phase::capturing);
  attempt_->maps->capture(*attempt_->capture, attempt_->slices, *attempt_->planned.routes);
  if (attempt_->check) {
    std::optional<Error> changed;
    const auto failed = attempt([&] { changed = attempt_->check->find_changed(); });
    if (failed || changed) attempt_->capture->spoil(failed ? *failed : *changed);
  }
  attempt_->progress.captured();
  release_values();
}

/// Whoever waits for the capture goes on, be it made or given up.
void Saver::release_values() {
  attempt_->captured = true;
  attempt_->captured.notify_all();
}

void Saver::wait_captured() const {
  if (under_way_) attempt_->captured.wait(false);
}

/// Collective.
void Saver::reserve() {
  attempt_->progress.enter(Phase::reserving);
  attempt_->planned.target->reserve();
  attempt_->report.file_bytes = attempt_->planned.target->file_bytes();
  attempt_->progress.event().bytes = attempt_->report.file_bytes;
}

/// Collective. Pieces to their blocks, in the captures; nothing to the disk.
void Saver::exchange() {
  attempt_->progress.enter(Phase::moving);
  Keeper keeper;
  attempt_->error = move(*attempt_->capture, keeper);
}

/// Local. Writes what `exchange` left in the capture.
void Saver::write_all() {
  storage::BlockSink& sink = attempt_->planned.target->open_sink();
  const plan::Routes& routes = *attempt_->planned.routes;
  for (std::size_t n = 0; n < routes.blocks.size(); ++n) {
    sink.submit(attempt_->capture->block(n), routes.blocks[n].block * routes.block_bytes, n, {});
  }
  for (std::size_t written = 0; written < routes.blocks.size();) {
    const auto completion = sink.poll();
    if (!completion) {
      sink.wait(std::chrono::seconds(1));
      continue;
    }
    ++written;
    if (completion->error && !attempt_->error) attempt_->error = completion->error;
  }
}

/// In the background, below MULTIPLE: the local part of (2) and (3).
void Saver::work_alone() {
  const auto failed = attempt([this] {
    if (attempt_->capturing.lazy) {
      take_values();
      attempt_->error = attempt_->capture->error();
      attempt_->progress.enter(Phase::moving);
    }
    if (!attempt_->error) write_all();
    sync();
  });
  if (failed && !attempt_->error) attempt_->error = failed;
  release_values();
}

/// In the background, with MULTIPLE: all of it.
void Saver::work_together() {
  try {
    if (attempt_->capturing.lazy) take_values();
    reserve();
    attempt_->progress.enter(Phase::moving);
    attempt_->error = move(*attempt_->capture, open_sink());
    sync();
    commit();
    attempt_->progress.committed();
  } catch (...) {
    give_up();
    attempt_->error = current_error();
    release_values();
  }
}

/// Collective. All ranks have one then, or none has.
storage::BlockSink& Saver::open_sink() {
  if (settings_.write.writer == Writer::mpiio) return attempt_->planned.target->open_sink();
  storage::BlockSink* sink = nullptr;
  run_together(comm_, [&] { sink = &attempt_->planned.target->open_sink(); });
  return *sink;
}

/// Collective. Returns this rank's error.
std::optional<Error> Saver::move_live() {
  const State& state = attempt_->maps->entries();
  if (settings_.write.writer == Writer::hdf5) {
    attempt_->maps->refuse_exchange("the writer hdf5");
    auto& target = static_cast<FileTarget&>(*attempt_->planned.target);
    return target.write_by_reference(state, planner_.staging());
  }
  std::optional<LiveSupply> supply;
  run_together(comm_, [&] {
    attempt_->slices = attempt_->planned.target->slices(state.entries());
    supply.emplace(*attempt_->planned.routes, attempt_->slices, planner_.staging());
  });
  return move(*supply, open_sink());
}

/// Collective. Returns this rank's error.
std::optional<Error> Saver::move(Supply& supply, storage::BlockSink& sink) {
  RingArena& arena = planner_.staging().incoming();
  const plan::Routes& routes = *attempt_->planned.routes;
  SaveEngine engine(comm_, routes, supply, sink, arena);
  return attempt_->capture ? engine.run() : attempt_->maps->move(engine, routes);
}

/// (3). Collective with the writer mpiio.
void Saver::sync() {
  attempt_->progress.enter(Phase::syncing);
  if (!attempt_->error) attempt_->error = attempt([&] { attempt_->planned.target->finish_own(); });
  attempt_->error = attempt_->planned.target->sync(std::move(attempt_->error));
}

/// (4) to (9). Collective.
void Saver::commit() {
  settle(comm_, std::exchange(attempt_->error, std::nullopt));
  attempt_->progress.enter(Phase::completing);
  attempt_->planned.target->complete();
  attempt_->progress.enter(Phase::publishing);
  attempt_->planned.target->publish();
  attempt_->progress.stop();
  report();
}

/// (10). Local. The checkpoint is published: whatever fails here takes nothing back.
void Saver::clean_up() {
  trash_.wait();  // of the save before: never more than one save's is there
  attempt_->planned.target->discard_replaced(trash_);
  attempt_->planned.target.reset();  // closes the files, which may be deleted now
  if (!attempt_->afterwards) return;
  static_cast<void>(
      attempt([this] { attempt_->afterwards(attempt_->request, attempt_->report); }));
}

SaveReport Saver::finish(bool waits) {
  const auto since = std::chrono::steady_clock::now();
  background_.wait();
  under_way_ = false;
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - since;
  if (waits) attempt_->progress.waited(waited.count());
  if (threads_) {
    if (attempt_->error) throw Error(*std::exchange(attempt_, nullptr)->error);
  } else {
    attempt_->progress.hold();
    watch([&] { commit(); });
    attempt_->progress.release();
    attempt_->progress.committed();
  }
  attempt_->maps->commit();
  SaveReport report = attempt_->report;
  background_.start([this] { clean_up(); });
  return report;
}

/// Runs a collective part of the attempt by the calling thread; an error ends it.
template <class Step>
void Saver::watch(Step&& step) {
  try {
    std::forward<Step>(step)();
  } catch (...) {
    const Error error = give_up();
    attempt_.reset();
    throw Error(error);
  }
}

/// Inside of a `catch`. Returns the error that it is about.
Error Saver::give_up() {
  const Error error = current_error();
  // What MPI may still read or write is left alone for ever.
  if (comm_.is_broken()) {
    planner_.forsake_buffers();
    forsake(std::make_unique<storage::AlignedBuffer>(std::move(capture_memory_)));
  }
  attempt_->progress.failed(error);
  attempt_->planned.target.reset();
  return error;
}

/// Collective. What the save did, the same on every rank.
void Saver::report() {
  SaveReport& report = attempt_->report;
  const Event& event = attempt_->progress.event();
  const Planned& planned = attempt_->planned;
  report.tensors = planned.tensors;
  report.value_bytes = planned.value_bytes;
  report.map_bytes = attempt_->request.record.chain.map_bytes;
  report.is_increment = attempt_->request.record.chain.is_increment();
  report.plan_reused = planned.reused;
  const std::uint64_t written = planned.routes->blocks.size() * planned.routes->block_bytes;
  const std::uint64_t captured = attempt_->capture ? capture_memory_.size() : 0;
  const std::uint64_t held = planner_.staging().bytes() + captured;
  std::array<std::uint64_t, 3> largest{written, held, planned.plan_bytes};
  comm_.allreduce(std::span<std::uint64_t>(largest), MPI_MAX);
  const auto sum = all_of<std::uint64_t>(comm_, written, MPI_SUM);
  report.stall_seconds = all_of<double>(comm_, attempt_->progress.stall_seconds(), MPI_MAX);
  WireWriter times;
  if (comm_.rank() == 0) times.put(event.seconds);
  const Bytes told = comm_.broadcast(times.take());
  report.seconds = WireReader(told).get<std::array<double, kPhaseCount>>();
  report.written_max = largest[0];
  report.written_mean = static_cast<double>(sum) / comm_.size();
  report.staged_peak = largest[1];
  report.plan_bytes = largest[2];
  report.direct_io = planned.target->direct();
  report.reserved = planned.target->reserved();
}

}  // namespace cairn::coord
