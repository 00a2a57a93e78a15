#include "coord/file_target.hpp"

#include "codec/random.hpp"
#include "coord/reference_writer.hpp"
#include "coord/together.hpp"
#include "policy/file_systems.hpp"
#include "storage/file_system.hpp"
#include "storage/process_identity.hpp"

namespace cairn::coord {

void FileTarget::reserve() {
  WireWriter told_by_root;
  run_on_root(comm_, [&] {
    check_writer();
    commit_ = std::make_unique<storage::Commit>(
        request_.path, storage::process_identity(request_.record.run_id), settings_.write.durable);
    codec::FileId id{};
    codec::fill_random(id);
    writer_ = make_image_writer(settings_.protection, plan_.layout, request_.record, id);
    file_ = commit_->create();
    reserved_ = with_room([&] { return file_->reserve(writer_->file_bytes()); });
    told_by_root.put_text(commit_->temporary().string()).put(reserved_).put(id);
  });
  const Bytes told = comm_.broadcast(told_by_root.take());
  WireReader reader(told);
  temporary_ = reader.get_text();
  reserved_ = reader.get<bool>();
  const auto id = reader.get<codec::FileId>();
  run_together(comm_, [&] {
    if (!writer_) {
      writer_ = make_image_writer(settings_.protection, plan_.layout, request_.record, id);
    }
    file_bytes_ = writer_->file_bytes();
    open();
  });
  agree_on_direct();
}

/// Rank 0, before anything is on the disk.
void FileTarget::check_writer() const {
  const auto system = storage::file_system_under(request_.path.parent_path());
  if (auto objection = policy::objection_to(settings_.write.writer, system, settings_.hosts)) {
    throw Error(ErrorCode::invalid_argument, request_.path.string() + ": " + *objection);
  }
}

void FileTarget::open() {
  const bool is_root = file_.has_value();
  if (!is_root) file_ = storage::PosixFile::open_for_writing(temporary_);
  if (settings_.write.writer != Writer::direct) {
    // MPI-IO may lock the whole file (Open MPI does on NFS), and would wait for our lock for ever.
    if (is_root) file_->unlock();
    return;
  }
  // Rank 0 holds it too, so nobody can have taken it in between.
  if (!is_root) static_cast<void>(file_->try_lock_shared());
  direct_ = file_->set_direct(true);
}

std::vector<SliceAccess> FileTarget::slices(std::span<const State::Entry> entries) const {
  return {entries.begin(), entries.end()};
}

storage::BlockSink& FileTarget::open_sink() {
  if (settings_.write.writer != Writer::mpiio) return open_file_sink();
  collective_ = std::make_unique<CollectiveFile>(comm_, temporary_, plan_.routes.blocks.size(),
                                                 *writer_);
  return *collective_;
}

std::optional<Error> FileTarget::write_by_reference(const State& state, Staging& staging) {
  // HDF5 opens a file whose structure is there.
  run_on_root(comm_, [&] { file_->write(plan_.layout.head, 0); });
  return coord::write_by_reference(comm_, plan_, state, temporary_, staging);
}

std::optional<Error> FileTarget::sync(std::optional<Error> error) {
  if (collective_) {
    auto failed = collective_->close(settings_.write.durable);
    if (!error) error = std::move(failed);
  }
  return Target::sync(std::move(error));
}

/// Whether rank 0 has to know what the blocks of others became, before it can write head or tail.
bool FileTarget::needs_marks() const {
  const bool has_marks = settings_.protection.crc_check || settings_.protection.sealed();
  return has_marks && comm_.size() > 1;
}

void FileTarget::finish_own() {
  // What MPI-IO holds back comes when all close it together, in (3).
  const bool is_written = settings_.write.writer == Writer::direct;
  if (comm_.rank() != 0 || needs_marks() || !is_written) return;
  write_head_and_tail(plan_.layout);
  is_complete_ = true;
}

void FileTarget::complete() {
  if (needs_marks()) gather_marks();
  run_on_root(comm_, [&] {
    hold_again();
    if (is_complete_) return;
    write_head_and_tail(plan_.layout);
    if (settings_.write.durable) file_->sync();
  });
}

/// Collective. Brings to rank 0 what each rank knows of its blocks.
void FileTarget::gather_marks() {
  Bytes mine;
  run_together(comm_, [&] {
    if (comm_.rank() != 0) mine = writer_->marks();
  });
  const std::vector<Bytes> told = comm_.gather(std::move(mine));
  run_on_root(comm_, [&] {
    for (const Bytes& marks : told) writer_->take_in(marks);
  });
}

/// Rank 0, before the file gets its name: it must still be there.
void FileTarget::hold_again() const {
  if (file_->try_lock_shared() && file_->is_at_its_path()) return;
  throw Error(ErrorCode::io,
              temporary_.string() + " was removed by somebody while it was written");
}

}  // namespace cairn::coord
