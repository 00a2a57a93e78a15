// A save from beginning to end, in one file or in shards. The numbers are the steps of the commit,
// which storage/commit.cpp tells in full, with its invariants.
//
//               one file                                   shards
//   planning    every rank describes what it holds; the plan is made, or used again
//   reserving   (1) rank 0 makes the temporary file;       (1) rank 0 makes the temporary
//               every rank opens it                        directory; every rank its file
//   moving      (2) pieces to owners, blocks to the disk   (2) blocks, head and tail to the own file
//   syncing     (3) every rank syncs what it wrote; (4) all agree
//               what ranks know of their blocks goes to rank 0
//   completing  (5) rank 0 writes head and tail, syncs     (5) rank 0 writes the index, syncs it
//                                                          and (6) the directory
//   publishing  (6) (7) (8) rank 0 renames; (9) all ranks learn the outcome; (10)
//
// Between two communications a rank only does local steps that cannot throw past them: errors are
// kept and settled, so that all ranks leave together by the same one.
#include "coord/saver.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/slice_access.hpp"
#include "codec/random.hpp"
#include "coord/collective_file.hpp"
#include "coord/hosts.hpp"
#include "coord/reference_writer.hpp"
#include "coord/save_engine.hpp"
#include "coord/together.hpp"
#include "policy/file_systems.hpp"
#include "storage/block_sink.hpp"
#include "storage/file_system.hpp"
#include "storage/process_identity.hpp"

namespace cairn::coord {

/// What is being written.
struct Saver::Target {
  std::unique_ptr<storage::ImageWriter> writer;        ///< of the one file, or this rank's shard
  std::unique_ptr<storage::ImageWriter> index_writer;  ///< rank 0 only
  std::unique_ptr<storage::Commit> commit;             ///< rank 0 only
  std::optional<storage::PosixFile> file;              ///< the one file, or this rank's shard
  std::optional<storage::PosixFile> index;             ///< of shards; rank 0 only
  std::unique_ptr<CollectiveFile> collective;          ///< with the writer mpiio
  std::filesystem::path temporary;
  bool reserved = false;
  bool direct = false;
};

Saver::Saver(MPI_Comm comm, const WriteOptions& options, storage::Protection protection)
    : comm_(comm, options.deadline),
      options_(options),
      protection_(std::move(protection)),
      hosts_(count_hosts(comm_)) {}

Saver::~Saver() = default;

SaveReport Saver::save(const State& state, const Request& request, Kind kind, Listener* listener) {
  const Request agreed = agree_on(request);
  Progress progress(listener, {.path = agreed.path,
                               .step = agreed.record.step,
                               .sequence = agreed.record.sequence,
                               .rank = comm_.rank()});
  progress.started();
  try {
    SaveReport report = kind == Kind::integrated ? run_integrated(state, agreed, progress)
                                                 : run_shards(state, agreed, progress);
    progress.committed();
    return report;
  } catch (const Error& error) {
    // What a rank that did not answer may still write into is left alone for ever.
    if (error.code() == ErrorCode::unresponsive) static_cast<void>(staging_.release());
    progress.failed(error);
    throw;
  }
}

SaveReport Saver::run_integrated(const State& state, const Request& request, Progress& progress) {
  progress.enter(Phase::planning);
  const std::vector<plan::Claim> claims = describe(state);
  SaveReport report;
  report.path = request.path;
  report.plan_reused = prepare(plan_, claims, [&] {
    return make_save_plan(comm_, claims, options_.block_bytes);
  });
  report.value_bytes = plan_->layout.value_bytes;
  report.tensors = plan_->tensor_count;

  progress.enter(Phase::reserving);
  Target target = reserve_file(request);
  report.file_bytes = progress.event().bytes = target.writer->file_bytes();

  progress.enter(Phase::moving);
  std::optional<Error> error = move_to_file(state, target);
  progress.captured();

  progress.enter(Phase::syncing);
  settle(comm_, sync(target, std::move(error)));
  gather_marks(target);

  progress.enter(Phase::completing);
  run_on_root(comm_, [&] { complete_file(target, request.record); });

  publish(target, progress);
  report = finish(std::move(report), target, progress, plan_->routes, plan_->memory());
  if (target.commit) target.commit->discard_replaced();  // nobody waits for it
  return report;
}

SaveReport Saver::run_shards(const State& state, const Request& request, Progress& progress) {
  if (options_.writer != Writer::direct) {
    throw Error(ErrorCode::invalid_argument,
                "shards are written by the direct writer only, not by " +
                    std::string(to_string(options_.writer)));
  }
  progress.enter(Phase::planning);
  const std::vector<plan::Claim> claims = describe(state);
  SaveReport report;
  report.path = request.path;
  report.plan_reused = prepare(shard_plan_, claims, [&] {
    return make_shard_plan(comm_, claims, options_.block_bytes);
  });
  report.value_bytes = shard_plan_->value_bytes;
  report.tensors = shard_plan_->tensor_count;

  progress.enter(Phase::reserving);
  Target target = reserve_shard(request);
  report.file_bytes = progress.event().bytes = bytes_of_shards(target);

  progress.enter(Phase::moving);
  std::optional<Error> error = move_to_shard(state, target, request.record);
  progress.captured();

  progress.enter(Phase::syncing);
  settle(comm_, sync(target, std::move(error)));

  progress.enter(Phase::completing);
  run_on_root(comm_, [&] { complete_index(target, request.record); });

  publish(target, progress);
  report = finish(std::move(report), target, progress, shard_plan_->routes, shard_plan_->memory());
  if (target.commit) target.commit->discard_replaced();  // nobody waits for it
  return report;
}

Saver::Request Saver::agree_on(const Request& request) const {
  WireWriter writer;
  run_on_root(comm_, [&] {
    const storage::RecordBytes record = storage::encode_record(request.record);
    writer.put_text(request.path.string()).put(record);
  });
  const Bytes told = comm_.broadcast(writer.take());
  WireReader reader(told);
  Request agreed;
  agreed.path = reader.get_text();
  const auto record = reader.get<storage::RecordBytes>();
  agreed.record = storage::decode_record(record, "rank 0's decision");
  return agreed;
}

std::vector<plan::Claim> Saver::describe(const State& state) const {
  std::vector<plan::Claim> claims;
  run_together(comm_, [&] { claims = plan::describe(state); });
  return claims;
}

/// Returns whether the last plan fits: then one small reduction was all.
template <class Plan, class MakePlan>
bool Saver::prepare(std::optional<Plan>& plan, std::span<const plan::Claim> claims,
                    MakePlan&& make) {
  const bool same = plan && plan->digest == digest_of(claims, options_.block_bytes);
  const bool reused = all_of<std::int32_t>(comm_, same ? 1 : 0, MPI_MIN) == 1;
  if (!reused) {
    plan.reset();
    plan = make();
  }
  const std::size_t block_bytes = plan->layout.block_bytes;
  if (!staging_ || staging_->block_bytes() != block_bytes) {
    staging_.reset();
    // All ranks have it then, or none has: what comes next depends on it.
    std::unique_ptr<Staging> fresh;
    run_together(comm_, [&] {
      fresh = std::make_unique<Staging>(block_bytes, options_.staging_bytes);
    });
    staging_ = std::move(fresh);
  }
  return reused;
}

/// O_DIRECT or buffered is decided by all ranks together.
void Saver::agree_on_direct(Target& target) const {
  const bool mine = target.direct;
  target.direct = all_of<std::int32_t>(comm_, mine ? 1 : 0, MPI_MIN) == 1;
  run_together(comm_, [&] {
    if (mine && !target.direct) target.file->set_direct(false);
  });
}

Saver::Target Saver::reserve_file(const Request& request) {
  Target target;
  WireWriter writer;
  run_on_root(comm_, [&] {
    check_writer(request.path);
    target.commit = std::make_unique<storage::Commit>(
        request.path, storage::process_identity(request.record.run_id), options_.durable);
    codec::FileId id{};
    codec::fill_random(id);
    target.writer = make_image_writer(protection_, plan_->layout, request.record, id);
    target.file = target.commit->create();
    target.reserved = target.file->reserve(target.writer->file_bytes());
    writer.put_text(target.commit->temporary().string()).put(target.reserved).put(id);
  });
  const Bytes told = comm_.broadcast(writer.take());
  WireReader reader(told);
  target.temporary = reader.get_text();
  target.reserved = reader.get<bool>();
  const auto id = reader.get<codec::FileId>();
  run_together(comm_, [&] {
    if (!target.writer) {
      target.writer = make_image_writer(protection_, plan_->layout, request.record, id);
    }
    open(target);
  });
  agree_on_direct(target);
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

std::optional<Error> Saver::move_to_file(const State& state, Target& target) {
  if (options_.writer == Writer::hdf5) {
    // HDF5 opens a file whose structure is there.
    run_on_root(comm_, [&] { target.file->write(plan_->layout.head, 0); });
    return write_by_reference(comm_, *plan_, state, target.temporary, *staging_);
  }
  std::vector<SliceAccess> slices;
  std::optional<storage::FileSink> sink;
  run_together(comm_, [&] {
    slices.reserve(state.entries().size());
    for (const State::Entry& entry : state.entries()) slices.emplace_back(entry);
    if (options_.writer == Writer::direct) sink.emplace(*target.file, *target.writer);
  });
  if (options_.writer == Writer::mpiio) {
    target.collective = std::make_unique<CollectiveFile>(comm_, target.temporary,
                                                         plan_->routes.blocks.size(),
                                                         *target.writer);
    return SaveEngine(comm_, plan_->routes, slices, *target.collective, *staging_).run();
  }
  return SaveEngine(comm_, plan_->routes, slices, *sink, *staging_).run();
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

/// Collective. Brings to rank 0 what each rank knows of its blocks, where they are protected.
void Saver::gather_marks(Target& target) const {
  if (!protection_.crc_check && !protection_.sealed()) return;
  Bytes mine;
  run_together(comm_, [&] {
    if (comm_.rank() != 0) mine = target.writer->marks();
  });
  const std::vector<Bytes> told = comm_.gather(std::move(mine));
  run_on_root(comm_, [&] {
    for (const Bytes& marks : told) target.writer->take_in(marks);
  });
}

void Saver::complete_file(Target& target, const storage::Record& record) {
  if (!target.file->try_lock_shared() || !target.file->is_at_its_path()) {
    throw Error(ErrorCode::io,
                target.temporary.string() + " was removed by somebody while it was written");
  }
  target.file->set_direct(false);  // the tail is not aligned, and both are small
  target.writer->complete(*target.file, plan_->layout, record);
  if (options_.durable) target.file->sync();
}

Saver::Target Saver::reserve_shard(const Request& request) {
  Target target;
  const auto shards = static_cast<std::uint64_t>(comm_.size());
  const auto make_writer = [&](const storage::ImageLayout& layout, std::uint64_t shard) {
    codec::FileId id{};
    codec::fill_random(id);
    return make_image_writer(protection_, layout, request.record, id, {shard, shards});
  };
  WireWriter writer;
  run_on_root(comm_, [&] {
    target.commit = std::make_unique<storage::Commit>(
        request.path, storage::process_identity(request.record.run_id), options_.durable);
    target.index_writer = make_writer(shard_plan_->index.layout, shards);
    target.index =
        target.commit->create_directory(storage::index_file_name(protection_.sealed()));
    target.index->require_free(shard_plan_->file_bytes);
    writer.put_text(target.commit->temporary().string());
  });
  const Bytes told = comm_.broadcast(writer.take());
  target.temporary = WireReader(told).get_text();
  run_together(comm_, [&] {
    const auto shard = static_cast<std::uint64_t>(comm_.rank());
    target.writer = make_writer(shard_plan_->layout, shard);
    target.file = storage::PosixFile::create(
        target.temporary / storage::shard_file_name(shard, shards, protection_.sealed()));
    // Rank 0 holds the index, so nobody sweeps the directory.
    static_cast<void>(target.file->try_lock_shared());
    target.reserved = target.file->reserve(target.writer->file_bytes());
    target.direct = target.file->set_direct(true);
  });
  target.reserved = all_of<std::int32_t>(comm_, target.reserved ? 1 : 0, MPI_MIN) == 1;
  agree_on_direct(target);
  return target;
}

/// Collective. Of all files.
std::uint64_t Saver::bytes_of_shards(const Target& target) const {
  std::uint64_t bytes = target.writer->file_bytes();
  if (target.index_writer) bytes += target.index_writer->file_bytes();
  return all_of<std::uint64_t>(comm_, bytes, MPI_SUM);
}

std::optional<Error> Saver::move_to_shard(const State& state, Target& target,
                                          const storage::Record& record) {
  std::vector<SliceAccess> slices;
  std::optional<storage::FileSink> sink;
  run_together(comm_, [&] {
    slices.reserve(shard_plan_->boxes.size());
    for (const ShardBox& box : shard_plan_->boxes) {
      slices.emplace_back(state.entries()[box.entry], box.box);
    }
    sink.emplace(*target.file, *target.writer);
  });
  auto error = SaveEngine(comm_, shard_plan_->routes, slices, *sink, *staging_).run();
  if (error) return error;
  return attempt([&] {
    target.file->set_direct(false);
    target.writer->complete(*target.file, shard_plan_->layout, record);
  });
}

void Saver::complete_index(Target& target, const storage::Record& record) {
  storage::write_index(*target.index, shard_plan_->index, record, *target.index_writer);
  if (!options_.durable) return;
  target.index->sync();
  storage::sync_directory(target.temporary);  // (6)
}

void Saver::publish(Target& target, Progress& progress) {
  progress.enter(Phase::publishing);
  run_on_root(comm_, [&] { target.commit->publish(); });
  progress.stop();
}

SaveReport Saver::finish(SaveReport report, const Target& target, const Progress& progress,
                         const plan::Routes& routes, std::uint64_t plan_bytes) const {
  const std::uint64_t written = routes.blocks.size() * routes.block_bytes;
  std::array<std::uint64_t, 3> largest{written, staging_->bytes(), plan_bytes};
  comm_.allreduce(std::span<std::uint64_t>(largest), MPI_MAX);
  const auto sum = all_of<std::uint64_t>(comm_, written, MPI_SUM);
  WireWriter times;
  if (comm_.rank() == 0) times.put(progress.seconds());
  const Bytes told = comm_.broadcast(times.take());
  report.seconds = WireReader(told).get<std::array<double, kPhaseCount>>();
  report.written_max = largest[0];
  report.written_mean = static_cast<double>(sum) / comm_.size();
  report.staged_peak = largest[1];
  report.plan_bytes = largest[2];
  report.direct_io = target.direct;
  report.reserved = target.reserved;
  return report;
}

}  // namespace cairn::coord
