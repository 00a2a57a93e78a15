// A save from beginning to end. The numbers are the steps of the commit, which
// storage/commit.cpp tells in full, with its invariants.
//
//   planning    every rank describes what it holds; the plan is made, or used again
//   reserving   (1) rank 0 makes the temporary file; every rank opens it
//   moving      (2) pieces to owners, blocks to the disk
//   syncing     (3) every rank syncs what it wrote; (4) all agree
//   completing  (5) rank 0 writes head and tail, and syncs
//   publishing  (6) (7) (8) rank 0 renames; (9) all ranks learn the outcome; (10)
//
// Between two communications a rank only does local steps that cannot throw past them: errors are
// kept and settled, so that all ranks leave together by the same one.
#include "coord/saver.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "base/slice_access.hpp"
#include "coord/collective_file.hpp"
#include "coord/reference_writer.hpp"
#include "coord/save_engine.hpp"
#include "coord/together.hpp"
#include "policy/file_systems.hpp"
#include "storage/block_io.hpp"
#include "storage/file_system.hpp"
#include "storage/process_identity.hpp"

namespace cairn::coord {

namespace {

/// Collective. On how many hosts the ranks are, as rank 0 is told.
std::uint64_t count_hosts(const Comm& comm) {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  WireWriter writer;
  writer.put_text({name.data(), static_cast<std::size_t>(length)});
  std::set<std::string> hosts;
  for (const Bytes& told : comm.gather(writer.take())) hosts.insert(WireReader(told).get_text());
  return hosts.size();
}

}  // namespace

/// The file being written.
struct Saver::Target {
  std::unique_ptr<storage::Commit> commit;  ///< rank 0 only
  std::optional<storage::PosixFile> file;
  std::unique_ptr<CollectiveFile> collective;  ///< with the writer mpiio
  std::filesystem::path temporary;
  bool reserved = false;
  bool direct = false;
};

Saver::Saver(MPI_Comm comm, const WriteOptions& options)
    : comm_(comm, options.deadline), options_(options), hosts_(count_hosts(comm_)) {}

Saver::~Saver() = default;

SaveReport Saver::save(const State& state, const Request& request, Listener* listener) {
  const Request agreed = agree_on(request);
  Progress progress(listener, {.path = agreed.path,
                               .step = agreed.record.step,
                               .sequence = agreed.record.sequence,
                               .rank = comm_.rank()});
  progress.started();
  try {
    SaveReport report = run(state, agreed, progress);
    progress.committed();
    return report;
  } catch (const Error& error) {
    // What a rank that did not answer may still write into is left alone for ever.
    if (error.code() == ErrorCode::unresponsive) static_cast<void>(staging_.release());
    progress.failed(error);
    throw;
  }
}

SaveReport Saver::run(const State& state, const Request& request, Progress& progress) {
  progress.enter(Phase::planning);
  std::vector<plan::Claim> claims;
  run_together(comm_, [&] { claims = plan::describe(state); });
  const bool reused = prepare_plan(claims);
  progress.event().bytes = plan_->layout.image_bytes;

  progress.enter(Phase::reserving);
  Target target = reserve(request);

  progress.enter(Phase::moving);
  std::optional<Error> error = move(state, target);
  progress.captured();

  progress.enter(Phase::syncing);
  settle(comm_, sync(target, std::move(error)));

  progress.enter(Phase::completing);
  run_on_root(comm_, [&] { complete(target, request.record); });

  progress.enter(Phase::publishing);
  run_on_root(comm_, [&] { target.commit->publish(); });
  progress.stop();
  SaveReport report = make_report(request, target, progress, reused);
  if (target.commit) target.commit->discard_replaced();  // nobody waits for it
  return report;
}

Saver::Request Saver::agree_on(const Request& request) const {
  WireWriter writer;
  if (comm_.rank() == 0) {
    writer.put_text(request.path.string())
        .put(request.record.step)
        .put(request.record.epoch)
        .put(request.record.sequence)
        .put(request.record.saved_at)
        .put_text(request.record.series);
  }
  const Bytes told = comm_.broadcast(writer.take());
  if (comm_.rank() == 0) return request;
  WireReader reader(told);
  Request agreed;
  agreed.path = reader.get_text();
  agreed.record.step = reader.get<std::uint64_t>();
  agreed.record.epoch = reader.get<std::uint64_t>();
  agreed.record.sequence = reader.get<std::uint64_t>();
  agreed.record.saved_at = reader.get<Time>();
  agreed.record.series = reader.get_text();
  return agreed;
}

/// Returns whether the last plan fits: then one small reduction was all.
bool Saver::prepare_plan(std::span<const plan::Claim> claims) {
  const bool same = plan_ && plan_->digest == digest_of(claims, options_.block_bytes);
  const bool reused = all_of<std::int32_t>(comm_, same ? 1 : 0, MPI_MIN) == 1;
  if (!reused) {
    plan_.reset();
    plan_ = make_save_plan(comm_, claims, options_.block_bytes);
  }
  const std::size_t block_bytes = plan_->layout.block_bytes;
  if (!staging_ || staging_->block_bytes() != block_bytes) {
    staging_.reset();
    run_together(comm_, [&] {
      staging_ = std::make_unique<Staging>(block_bytes, options_.staging_bytes);
    });
  }
  return reused;
}

Saver::Target Saver::reserve(const Request& request) {
  Target target;
  WireWriter writer;
  run_on_root(comm_, [&] {
    check_writer(request.path);
    target.commit = std::make_unique<storage::Commit>(
        request.path, storage::process_identity(request.record.run_id), options_.durable);
    target.file = target.commit->create();
    target.reserved = target.file->reserve(plan_->layout.image_bytes);
    writer.put_text(target.commit->temporary().string()).put(target.reserved).put(options_.writer);
  });
  const Bytes told = comm_.broadcast(writer.take());
  WireReader reader(told);
  target.temporary = reader.get_text();
  target.reserved = reader.get<bool>();
  const auto agreed_writer = reader.get<Writer>();
  run_together(comm_, [&] {
    if (options_.writer != agreed_writer) {
      throw Error(ErrorCode::invalid_argument,
                  "the writer differs over ranks: here " + std::string(to_string(options_.writer)) +
                      ", on rank 0 " + std::string(to_string(agreed_writer)));
    }
    open(target);
  });
  const bool direct = target.direct;
  target.direct = all_of<std::int32_t>(comm_, direct ? 1 : 0, MPI_MIN) == 1;
  if (direct && !target.direct) target.file->set_direct(false);
  return target;
}

/// Rank 0, before anything is on the disk.
void Saver::check_writer(const std::filesystem::path& path) const {
  const auto system = storage::file_system_under(path.parent_path());
  if (auto objection = policy::objection_to(options_.writer, system, hosts_)) {
    throw Error(ErrorCode::invalid_argument, path.string() + ": " + *objection);
  }
}

void Saver::open(Target& target) const {
  const bool is_root = target.file.has_value();
  if (!is_root) target.file = storage::PosixFile::open_for_writing(target.temporary);
  if (options_.writer != Writer::direct) {
    // MPI-IO may lock the whole file (Open MPI does on NFS), and would wait for our lock for ever.
    if (is_root) target.file->unlock();
    return;
  }
  // Rank 0 holds it too, so nobody can have taken it in between.
  if (!is_root) static_cast<void>(target.file->try_lock_shared());
  target.direct = target.file->set_direct(true);
}

std::optional<Error> Saver::move(const State& state, Target& target) {
  if (options_.writer == Writer::hdf5) {
    // HDF5 opens a file whose structure is there.
    run_on_root(comm_, [&] { target.file->write(plan_->layout.head, 0); });
    return write_by_reference(comm_, *plan_, state, target.temporary, *staging_);
  }
  std::vector<SliceAccess> slices;
  slices.reserve(state.entries().size());
  for (const State::Entry& entry : state.entries()) slices.emplace_back(entry);
  if (options_.writer == Writer::mpiio) {
    target.collective = std::make_unique<CollectiveFile>(comm_, target.temporary,
                                                         plan_->routes.blocks.size());
    return SaveEngine(comm_, plan_->routes, slices, *target.collective, *staging_).run();
  }
  storage::BlockIo io(*target.file, storage::BlockIo::Direction::write);
  return SaveEngine(comm_, plan_->routes, slices, io, *staging_).run();
}

/// Collective with the writer mpiio, also for a rank that failed. Returns the first error.
std::optional<Error> Saver::sync(Target& target, std::optional<Error> error) const {
  if (target.collective) {
    auto failed = target.collective->close(options_.durable);
    if (!error) error = std::move(failed);
  }
  if (!error && options_.durable) error = attempt([&] { target.file->sync(); });
  return error;
}

void Saver::complete(Target& target, const storage::Record& record) {
  const storage::ImageLayout& layout = plan_->layout;
  const std::vector<std::byte> tail = storage::make_tail(layout, record);
  if (!target.file->try_lock_shared() || !target.file->is_at_its_path()) {
    throw Error(ErrorCode::io,
                target.temporary.string() + " was removed by somebody while it was written");
  }
  target.file->set_direct(false);  // the tail is not aligned, and both are small
  target.file->write(layout.head, 0);
  target.file->write(tail, layout.tail_offset);
  if (options_.durable) target.file->sync();
}

SaveReport Saver::make_report(const Request& request, const Target& target, const Progress& progress,
                         bool reused) const {
  const std::uint64_t written = plan_->routes.blocks.size() * plan_->layout.block_bytes;
  std::array<std::uint64_t, 3> largest{written, staging_->bytes(), plan_->memory()};
  comm_.allreduce(std::span<std::uint64_t>(largest), MPI_MAX);
  const auto sum = all_of<std::uint64_t>(comm_, written, MPI_SUM);
  WireWriter times;
  if (comm_.rank() == 0) times.put(progress.seconds());
  const Bytes told = comm_.broadcast(times.take());

  SaveReport report;
  report.path = request.path;
  report.file_bytes = plan_->layout.image_bytes;
  report.value_bytes = plan_->layout.value_bytes;
  report.tensors = plan_->tensor_count;
  report.seconds = WireReader(told).get<std::array<double, kPhaseCount>>();
  report.written_max = largest[0];
  report.written_mean = static_cast<double>(sum) / comm_.size();
  report.staged_peak = largest[1];
  report.plan_bytes = largest[2];
  report.plan_reused = reused;
  report.direct_io = target.direct;
  report.reserved = target.reserved;
  return report;
}

}  // namespace cairn::coord
