#include "coord/stored.hpp"

#include <map>
#include <string>

#include "coord/together.hpp"
#include "plan/claim.hpp"
#include "storage/image.hpp"
#include "storage/shard_index.hpp"

namespace cairn::coord {
namespace {

namespace fs = std::filesystem;

Box whole_box(const Shape& shape) {
  return {Shape(shape.size(), 0), shape};
}

/// The part of a record that reports are made of.
void put_record(WireWriter& writer, const storage::Record& record) {
  writer.put(record.step)
      .put(record.epoch)
      .put(record.sequence)
      .put(record.saved_at)
      .put(record.run_id)
      .put_text(record.series);
}

storage::Record get_record(WireReader& reader) {
  storage::Record record;
  record.step = reader.get<std::uint64_t>();
  record.epoch = reader.get<std::uint64_t>();
  record.sequence = reader.get<std::uint64_t>();
  record.saved_at = reader.get<Time>();
  record.run_id = reader.get<RunId>();
  record.series = reader.get_text();
  return record;
}

Bytes to_wire(const Stored& stored) {
  WireWriter writer;
  writer.put_text(stored.path.string());
  put_record(writer, stored.record);
  writer.put(stored.block_bytes).put(stored.block_count).put(stored.files.size());
  for (const storage::FileRange& file : stored.files) {
    writer.put_text(file.path.string()).put(file.first).put(file.bytes).put(file.offset);
  }
  for (std::size_t t = 0; t < stored.tensors.size(); ++t) {
    plan::put_tensor(writer, stored.tensors[t]);
    writer.put(stored.pieces[t].size());
    for (const StoredPiece& piece : stored.pieces[t]) {
      plan::put_box(writer, piece.box);
      writer.put(piece.place);
    }
  }
  return writer.take();
}

Stored from_wire(const Bytes& bytes) {
  WireReader reader(bytes);
  Stored stored;
  stored.path = reader.get_text();
  stored.record = get_record(reader);
  stored.block_bytes = reader.get<std::uint64_t>();
  stored.block_count = reader.get<std::uint64_t>();
  for (auto n = reader.get<std::size_t>(); n > 0; --n) {
    storage::FileRange file;
    file.path = reader.get_text();
    file.first = reader.get<std::uint64_t>();
    file.bytes = reader.get<std::uint64_t>();
    file.offset = reader.get<std::uint64_t>();
    stored.files.push_back(std::move(file));
  }
  while (!reader.done()) {
    stored.tensors.push_back(plan::get_tensor(reader));
    auto& pieces = stored.pieces.emplace_back();
    for (auto n = reader.get<std::size_t>(); n > 0; --n) {
      Box box = plan::get_box(reader);
      pieces.push_back({std::move(box), reader.get<std::uint64_t>()});
    }
  }
  return stored;
}

/// Rank 0.
Stored stored_image(const fs::path& path) {
  const storage::ImageIndex index = storage::read_index(storage::PosixFile::open_for_reading(path));
  const storage::Record& record = index.record;
  Stored stored;
  stored.path = path;
  stored.record = record;
  stored.block_bytes = record.block_bytes;
  const std::uint64_t body = record.tail_offset - record.head_bytes;
  stored.block_count = body / record.block_bytes;
  stored.files.push_back({path, 0, body, record.head_bytes});
  for (const PlacedTensor& tensor : index.tensors) {
    stored.tensors.push_back(tensor);
    auto& pieces = stored.pieces.emplace_back();
    if (tensor.offset == kNoOffset) continue;
    pieces.push_back({whole_box(tensor.shape), tensor.offset - record.head_bytes});
  }
  return stored;
}

/// What a rank found in a shard.
struct SeenShard {
  std::uint64_t block_bytes;
  std::uint64_t head_bytes;
  std::uint64_t body_bytes;
  std::map<std::string, std::uint64_t> place;  ///< of its datasets, from the body's begin
};

Bytes look_at_shard(const fs::path& directory, std::uint64_t shard,
                    const storage::ReadIndex& index) {
  const storage::ImageIndex image = storage::read_shard(directory, shard, index);
  WireWriter writer;
  writer.put(image.record.block_bytes)
      .put(image.record.head_bytes)
      .put(image.record.tail_offset - image.record.head_bytes)
      .put(image.tensors.size());
  for (const PlacedTensor& tensor : image.tensors) {
    writer.put_text(tensor.name).put(tensor.offset - image.record.head_bytes);
  }
  return writer.take();
}

SeenShard get_seen(WireReader& reader) {
  SeenShard seen{
      reader.get<std::uint64_t>(), reader.get<std::uint64_t>(), reader.get<std::uint64_t>(), {}};
  for (auto n = reader.get<std::size_t>(); n > 0; --n) {
    std::string name = reader.get_text();
    seen.place.emplace(std::move(name), reader.get<std::uint64_t>());
  }
  return seen;
}

/// Collective. Every rank looks at every size-th shard; rank 0 gets what all of them found, by
/// shard.
std::vector<SeenShard> look_at_shards(const Comm& comm, const fs::path& directory,
                                      const storage::ReadIndex& index) {
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  const std::uint64_t shards = index.index.shards.size();
  WireWriter seen;
  run_together(comm, [&] {
    for (auto s = static_cast<std::uint64_t>(comm.rank()); s < shards; s += ranks) {
      const Bytes one = look_at_shard(directory, s, index);
      seen.put_all(std::span<const std::byte>(one));
    }
  });
  const std::vector<Bytes> from = comm.gather(seen.take());
  std::vector<SeenShard> all(from.empty() ? 0 : shards);
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    WireReader reader(from[rank]);
    for (std::uint64_t s = rank; s < shards; s += ranks) {
      const Bytes one = reader.get_all<std::byte>();
      WireReader inner(one);
      all[s] = get_seen(inner);
    }
  }
  return all;
}

/// Rank 0.
Stored stored_shards(const fs::path& directory, const storage::ReadIndex& read,
                     const std::vector<SeenShard>& shards) {
  Stored stored;
  stored.path = directory;
  stored.record = read.record;
  stored.block_bytes = shards.empty() ? read.record.block_bytes : shards.front().block_bytes;
  std::uint64_t first = 0;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const fs::path path = directory / storage::shard_file_name(s, shards.size());
    if (shards[s].block_bytes != stored.block_bytes) {
      throw Error(ErrorCode::damaged,
                  path.string() + " has blocks of " + std::to_string(shards[s].block_bytes) +
                      " bytes, the others of " + std::to_string(stored.block_bytes));
    }
    stored.files.push_back({path, first, shards[s].body_bytes, shards[s].head_bytes});
    first += shards[s].body_bytes;
  }
  stored.block_count = first / stored.block_bytes;
  for (const storage::ShardedTensor& tensor : read.index.tensors) {
    stored.tensors.push_back(tensor);
    auto& pieces = stored.pieces.emplace_back();
    for (const storage::ShardPiece& piece : tensor.pieces) {
      const std::uint64_t place =
          shards[piece.shard].place.at(storage::piece_name(tensor.name, piece.box));
      pieces.push_back({piece.box, stored.files[piece.shard].first + place});
    }
  }
  return stored;
}

Stored open_shards(const Comm& comm, const fs::path& directory) {
  storage::ReadIndex index;
  // Every rank reads the index: small, and it spares sending it around.
  run_together(comm, [&] { index = storage::read_shard_index(directory); });
  const std::vector<SeenShard> shards = look_at_shards(comm, directory, index);
  Bytes wire;
  run_on_root(comm, [&] { wire = to_wire(stored_shards(directory, index, shards)); });
  return from_wire(comm.broadcast(std::move(wire)));
}

}  // namespace

Stored open_stored(const Comm& comm, const fs::path& path) {
  WireWriter writer;
  run_on_root(comm, [&] {
    const bool is_directory = fs::is_directory(path);
    writer.put(is_directory).put_text(path.string());
    const Bytes image = is_directory ? Bytes{} : to_wire(stored_image(path));
    writer.put_all(std::span<const std::byte>(image));
  });
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  const bool is_directory = reader.get<bool>();
  const fs::path shared = reader.get_text();
  if (is_directory) return open_shards(comm, shared);
  return from_wire(reader.get_all<std::byte>());
}

}  // namespace cairn::coord
