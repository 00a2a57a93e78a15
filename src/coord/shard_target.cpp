#include "coord/shard_target.hpp"

#include "codec/random.hpp"
#include "coord/together.hpp"
#include "storage/process_identity.hpp"

namespace cairn::coord {

std::unique_ptr<storage::ImageWriter> ShardTarget::make_writer(const storage::ImageLayout& layout,
                                                               std::uint64_t shard) const {
  codec::FileId id{};
  codec::fill_random(id);
  return make_image_writer(settings_.protection, layout, request_.record, id,
                           {shard, static_cast<std::uint64_t>(comm_.size())});
}

void ShardTarget::reserve() {
  WireWriter told_by_root;
  run_on_root(comm_, [&] {
    create_directory();
    told_by_root.put_text(commit_->temporary().string());
  });
  const Bytes told = comm_.broadcast(told_by_root.take());
  temporary_ = WireReader(told).get_text();
  run_together(comm_, [&] { create_shard(); });
  reserved_ = all_of<std::int32_t>(comm_, reserved_ ? 1 : 0, MPI_MIN) == 1;
  agree_on_direct();
  std::uint64_t bytes = writer_->file_bytes();
  if (index_writer_) bytes += index_writer_->file_bytes();
  file_bytes_ = all_of<std::uint64_t>(comm_, bytes, MPI_SUM);
}

void ShardTarget::create_directory() {
  commit_ = std::make_unique<storage::Commit>(
      request_.path, storage::process_identity(request_.record.run_id), settings_.write.durable);
  index_writer_ = make_writer(plan_.index.layout, static_cast<std::uint64_t>(comm_.size()));
  index_ = commit_->create_directory(storage::index_file_name(settings_.protection.sealed()));
  with_room([&] { index_->require_free(plan_.file_bytes); });
}

void ShardTarget::create_shard() {
  const auto shard = static_cast<std::uint64_t>(comm_.rank());
  const auto shards = static_cast<std::uint64_t>(comm_.size());
  writer_ = make_writer(plan_.layout, shard);
  file_ = storage::PosixFile::create(
      temporary_ / storage::shard_file_name(shard, shards, settings_.protection.sealed()));
  // Rank 0 holds the index, so nobody sweeps the directory.
  static_cast<void>(file_->try_lock_shared());
  reserved_ = file_->reserve(writer_->file_bytes());
  direct_ = file_->set_direct(true);
}

std::vector<SliceAccess> ShardTarget::slices(std::span<const State::Entry> entries) const {
  std::vector<SliceAccess> slices;
  slices.reserve(plan_.boxes.size());
  for (const ShardBox& box : plan_.boxes) slices.emplace_back(entries[box.entry], box.box);
  return slices;
}

void ShardTarget::finish_own() { write_head_and_tail(plan_.layout); }

void ShardTarget::complete() {
  run_on_root(comm_, [&] {
    storage::write_index(*index_, plan_.index, request_.record, *index_writer_);
    if (!settings_.write.durable) return;
    index_->sync();
    storage::sync_directory(temporary_);  // (6)
  });
}

}  // namespace cairn::coord
