#include "coord/stored.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "coord/lone_set.hpp"
#include "coord/seen_file.hpp"
#include "coord/together.hpp"
#include "plan/claim.hpp"
#include "storage/image.hpp"
#include "storage/shard_index.hpp"

namespace cairn::coord {
namespace {

namespace fs = std::filesystem;

/// What a path leads to.
enum class Form : std::uint8_t { image, shards, lone_set };

Box whole_box(const Shape& shape) {
  return {Shape(shape.size(), 0), shape};
}

void put_identity(WireWriter& writer, const storage::Identity& identity) {
  writer.put(identity.step)
      .put(identity.epoch)
      .put(identity.step_in_epoch)
      .put(identity.steps_per_epoch)
      .put(identity.sequence)
      .put(identity.saved_at)
      .put(identity.kind)
      .put(identity.run_id)
      .put_text(identity.series);
}

storage::Identity get_identity(WireReader& reader) {
  storage::Identity identity;
  identity.step = reader.get<std::uint64_t>();
  identity.epoch = reader.get<std::uint64_t>();
  identity.step_in_epoch = reader.get<std::uint64_t>();
  identity.steps_per_epoch = reader.get<std::uint64_t>();
  identity.sequence = reader.get<std::uint64_t>();
  identity.saved_at = reader.get<Time>();
  identity.kind = reader.get<storage::CheckpointKind>();
  identity.run_id = reader.get<RunId>();
  identity.series = reader.get_text();
  return identity;
}

Bytes to_wire(const Stored& stored) {
  WireWriter writer;
  writer.put_text(stored.path.string());
  put_identity(writer, stored.identity);
  writer.put(stored.block_bytes).put(stored.block_count).put(stored.files.size());
  for (const storage::FileRange& file : stored.files) {
    writer.put_text(file.path.string()).put(file.first).put(file.bytes).put(file.offset);
  }
  writer.put(stored.verified).put(stored.enc_mode);
  writer.put_all(std::span<const SealedSource>(stored.sealed));
  writer.put_all(std::span<const std::byte>(stored.marks));
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
  stored.identity = get_identity(reader);
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
  stored.verified = reader.get<Verified>();
  stored.enc_mode = reader.get<EncMode>();
  stored.sealed = reader.get_all<SealedSource>();
  stored.marks = reader.get_all<std::byte>();
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
Stored stored_image(const fs::path& path, const storage::Unlock& unlock) {
  const storage::ImageFile file = storage::ImageFile::open(path, unlock);
  const storage::ImageIndex index = storage::read_index(file);
  storage::check_same_identity(file, index.record);
  storage::check_is_no_part(file);
  check_crc_is_there(path, index.record, unlock);
  Stored stored;
  stored.path = path;
  stored.identity = index.record;
  append_file(stored, path, look_at_file(file, index));
  for (const PlacedTensor& tensor : index.tensors) {
    stored.tensors.push_back(tensor);
    auto& pieces = stored.pieces.emplace_back();
    if (tensor.offset == kNoOffset) continue;
    pieces.push_back({whole_box(tensor.shape), tensor.offset - index.record.head_bytes});
  }
  return stored;
}

/// What a rank found in a shard.
struct SeenShard {
  SeenFile file;
  /// Of its datasets, from the body's begin.
  std::map<std::pair<Family, std::string>, std::uint64_t> place;
};

Bytes look_at_shard(const fs::path& directory, std::uint64_t shard,
                    const storage::ReadIndex& index, const storage::Unlock& unlock) {
  const storage::ReadShard read = storage::read_shard(directory, shard, index, unlock);
  const SeenFile seen = look_at_file(read.file, read.image);
  WireWriter writer;
  put_seen(writer, seen);
  writer.put(read.image.tensors.size());
  for (const PlacedTensor& tensor : read.image.tensors) {
    writer.put(tensor.family).put_text(tensor.name);
    writer.put(tensor.offset - read.image.record.head_bytes);
  }
  return writer.take();
}

SeenShard get_seen(WireReader& reader) {
  SeenShard seen;
  seen.file = get_seen_file(reader);
  for (auto n = reader.get<std::size_t>(); n > 0; --n) {
    const Family family = reader.get<Family>();
    std::string name = reader.get_text();
    seen.place.emplace(std::pair(family, std::move(name)), reader.get<std::uint64_t>());
  }
  return seen;
}

/// Collective. Every rank looks at every size-th shard; rank 0 gets what all of them found, by
/// shard.
std::vector<SeenShard> look_at_shards(const Comm& comm, const fs::path& directory,
                                      const storage::ReadIndex& index,
                                      const storage::Unlock& unlock) {
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  const std::uint64_t shards = index.index.shards.size();
  WireWriter seen;
  run_together(comm, [&] {
    for (auto s = static_cast<std::uint64_t>(comm.rank()); s < shards; s += ranks) {
      const Bytes one = look_at_shard(directory, s, index, unlock);
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
  stored.identity = read.record;
  stored.block_bytes = read.record.block_bytes;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    append_file(stored, directory / storage::shard_file_name(s, shards.size(), read.sealed),
                shards[s].file);
  }
  for (const storage::ShardedTensor& tensor : read.index.tensors) {
    stored.tensors.push_back(tensor);
    auto& pieces = stored.pieces.emplace_back();
    for (const storage::ShardPiece& piece : tensor.pieces) {
      const std::uint64_t place = shards[piece.shard].place.at(
          {tensor.family, storage::piece_name(tensor.name, piece.box)});
      pieces.push_back({piece.box, stored.files[piece.shard].first + place});
    }
  }
  return stored;
}

Stored open_shards(const Comm& comm, const fs::path& directory, const storage::Unlock& unlock) {
  storage::ReadIndex index;
  // Every rank reads the index: small, and it spares sending it around.
  run_together(comm, [&] {
    index = storage::read_shard_index(directory, unlock);
    check_crc_is_there(directory, index.record, unlock);
  });
  const std::vector<SeenShard> shards = look_at_shards(comm, directory, index, unlock);
  Bytes wire;
  run_on_root(comm, [&] { wire = to_wire(stored_shards(directory, index, shards)); });
  return from_wire(comm.broadcast(std::move(wire)));
}

}  // namespace

Stored open_stored(const Comm& comm, const fs::path& path, const storage::Unlock& unlock) {
  WireWriter writer;
  run_on_root(comm, [&] {
    Form form = Form::image;
    if (is_lone_set(path)) form = Form::lone_set;
    else if (fs::is_directory(path)) form = Form::shards;
    writer.put(form).put_text(path.string());
    const Bytes image = form == Form::image ? to_wire(stored_image(path, unlock)) : Bytes{};
    writer.put_all(std::span<const std::byte>(image));
  });
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  const Form form = reader.get<Form>();
  const fs::path shared = reader.get_text();
  if (form == Form::shards) return open_shards(comm, shared, unlock);
  if (form == Form::image) return from_wire(reader.get_all<std::byte>());
  Bytes wire;
  const std::vector<Bytes> seen = look_at_lone_files(comm, shared, unlock);
  run_on_root(comm, [&] { wire = to_wire(put_lone_set_together(shared, seen, unlock)); });
  return from_wire(comm.broadcast(std::move(wire)));
}

std::vector<std::string> tensors_within(const Stored& stored, std::uint64_t begin,
                                        std::uint64_t end) {
  std::vector<std::string> names;
  for (std::size_t t = 0; t < stored.tensors.size(); ++t) {
    const std::uint64_t element = size_of(stored.tensors[t].dtype);
    if (std::ranges::any_of(stored.pieces[t], [&](const StoredPiece& piece) {
          return piece.place < end && begin < piece.place + element_count(piece.box.extent) * element;
        })) {
      names.push_back(listed_name(stored.tensors[t].family, stored.tensors[t].name));
    }
  }
  return names;
}

}  // namespace cairn::coord
