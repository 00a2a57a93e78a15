#include "coord/lone_target.hpp"

#include "codec/random.hpp"
#include "storage/lone_shard.hpp"
#include "storage/process_identity.hpp"

namespace cairn::coord {

void LoneTarget::reserve() {
  const auto mark = storage::mark_of(request_.record, request_.path.string());
  codec::FileId id{};
  codec::fill_random(id);
  writer_ = make_image_writer(settings_.protection, plan_.layout, request_.record, id,
                              {mark->rank, mark->ranks, true});
  commit_ = std::make_unique<storage::Commit>(
      request_.path, storage::process_identity(request_.record.run_id), settings_.write.durable);
  file_ = commit_->create();
  temporary_ = commit_->temporary();
  file_bytes_ = writer_->file_bytes();
  reserved_ = file_->reserve(file_bytes_);
  direct_ = file_->set_direct(true);
  agree_on_direct();
}

std::vector<SliceAccess> LoneTarget::slices(std::span<const State::Entry> entries) const {
  std::vector<SliceAccess> slices;
  for (const ShardBox& box : plan_.boxes) slices.emplace_back(entries[box.entry], box.box);
  return slices;
}

void LoneTarget::finish_own() { write_head_and_tail(plan_.layout); }

}  // namespace cairn::coord
