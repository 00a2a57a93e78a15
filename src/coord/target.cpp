#include "coord/target.hpp"

#include "coord/together.hpp"

namespace cairn::coord {

SaveRequest agree_on(const Comm& comm, const SaveRequest& request) {
  WireWriter writer;
  run_on_root(comm, [&] {
    const storage::RecordBytes record = storage::encode_record(request.record);
    writer.put_text(request.path.string()).put(record);
  });
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  SaveRequest agreed;
  agreed.path = reader.get_text();
  const auto record = reader.get<storage::RecordBytes>();
  agreed.record = storage::decode_record(record, "rank 0's decision");
  return agreed;
}

/// O_DIRECT or buffered is decided by all ranks together.
void Target::agree_on_direct() {
  const bool mine = direct_;
  direct_ = all_of<std::int32_t>(comm_, mine ? 1 : 0, MPI_MIN) == 1;
  run_together(comm_, [&] {
    if (mine && !direct_) file_->set_direct(false);
  });
}

storage::BlockSink& Target::open_file_sink() { return sink_.emplace(*file_, *writer_); }

void Target::write_head_and_tail(const storage::ImageLayout& layout) {
  file_->set_direct(false);  // the tail is not aligned, and both are small
  writer_->complete(*file_, layout, request_.record);
}

std::optional<Error> Target::sync(std::optional<Error> error) {
  sink_.reset();  // nothing is under way any more
  if (error || !settings_.write.durable) return error;
  return attempt([&] { file_->sync(); });
}

void Target::publish() {
  run_on_root(comm_, [&] { commit_->publish(); });
}

void Target::discard_replaced(storage::Trash& trash) {
  if (commit_) commit_->discard_replaced(&trash);
}

}  // namespace cairn::coord
