#include "coord/lone_set.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/listing.hpp"
#include "coord/seen_file.hpp"
#include "coord/structure.hpp"
#include "coord/together.hpp"
#include "plan/claim.hpp"
#include "plan/cover_proof.hpp"
#include "storage/image.hpp"
#include "storage/lone_shard.hpp"

namespace cairn::coord {
namespace {

namespace fs = std::filesystem;
using storage::LoneMark;

/// What a rank found in one file of a set.
struct Seen {
  fs::path path;
  std::optional<Error> problem;
  storage::Identity identity;
  LoneMark mark;
  SeenFile file;
  std::vector<storage::LonePiece> pieces;  ///< `offset` from the body's begin
};

void look_at(Seen& seen, const storage::Unlock& unlock) {
  const auto file = storage::ImageFile::open(seen.path, unlock);
  const storage::ImageIndex index = storage::read_index(file);
  storage::check_same_identity(file, index.record);
  check_crc_is_there(seen.path, index.record, unlock);
  seen.identity = index.record;
  seen.mark = lone_mark_at(seen.path, index.record);
  seen.file = look_at_file(file, index);
  for (const PlacedTensor& dataset : index.tensors) {
    seen.pieces.push_back(storage::lone_piece(dataset, seen.path.string()));
    if (dataset.offset != kNoOffset) seen.pieces.back().offset -= index.record.head_bytes;
  }
}

void put(WireWriter& writer, const Seen& seen) {
  writer.put_text(seen.path.string()).put(seen.problem.has_value());
  if (seen.problem) {
    writer.put_text(seen.problem->what());
    return;
  }
  const storage::Identity& id = seen.identity;
  writer.put(id.step).put(id.epoch).put(id.step_in_epoch).put(id.steps_per_epoch);
  writer.put(id.sequence).put(id.saved_at).put(id.run_id).put_text(id.series);
  writer.put(seen.mark.rank).put(seen.mark.ranks).put(seen.mark.structure);
  writer.put(seen.mark.updates_marked);
  put_seen(writer, seen.file);
  writer.put(seen.pieces.size());
  for (const storage::LonePiece& piece : seen.pieces) {
    plan::put_tensor(writer, piece.tensor);
    plan::put_box(writer, piece.box);
    writer.put(piece.offset);
  }
}

Seen get(WireReader& reader) {
  Seen seen;
  seen.path = reader.get_text();
  if (reader.get<bool>()) {
    seen.problem.emplace(ErrorCode::damaged, reader.get_text());
    return seen;
  }
  storage::Identity& id = seen.identity;
  id.step = reader.get<std::uint64_t>();
  id.epoch = reader.get<std::uint64_t>();
  id.step_in_epoch = reader.get<std::uint64_t>();
  id.steps_per_epoch = reader.get<std::uint64_t>();
  id.sequence = reader.get<std::uint64_t>();
  id.saved_at = reader.get<Time>();
  id.run_id = reader.get<RunId>();
  id.series = reader.get_text();
  id.kind = storage::CheckpointKind::breakpoint;
  seen.mark.rank = reader.get<std::uint64_t>();
  seen.mark.ranks = reader.get<std::uint64_t>();
  seen.mark.structure = reader.get<storage::StructureDigest>();
  seen.mark.updates_marked = reader.get<bool>();
  seen.file = get_seen_file(reader);
  for (auto n = reader.get<std::size_t>(); n > 0; --n) {
    storage::LonePiece piece{plan::get_tensor(reader), plan::get_box(reader), 0};
    piece.offset = reader.get<std::uint64_t>();
    seen.pieces.push_back(std::move(piece));
  }
  return seen;
}

[[noreturn]] void refuse(const fs::path& set, const std::string& why) {
  throw Error(ErrorCode::damaged, set.string() + ": what ranks saved alone " + why);
}

/// "there are those of the ranks 0, 1, 3 of 4"
std::string ranks_in(const std::vector<Seen>& files) {
  std::vector<std::string> ranks;
  for (const Seen& seen : files) ranks.push_back(std::to_string(seen.mark.rank));
  return "there are those of the ranks " + list_names(ranks) + " of " +
         std::to_string(files.front().mark.ranks);
}

/// The files of the attempt that the newest of them is of; those of another are old.
std::vector<Seen> those_of_one_state(const fs::path& set, std::vector<Seen> files) {
  std::string problems;
  for (const Seen& seen : files) {
    if (seen.problem) problems += std::string("\n    ") + seen.problem->what();
  }
  std::erase_if(files, [](const Seen& seen) { return seen.problem.has_value(); });
  if (files.empty()) refuse(set, "cannot be read:" + problems);
  const auto newest = std::ranges::max_element(
      files, {}, [](const Seen& seen) { return storage::newness(seen.identity); });
  const Seen chosen = *newest;
  std::erase_if(files, [&](const Seen& seen) {
    return !storage::is_of_one_state(seen.identity, seen.mark, chosen.identity, chosen.mark);
  });
  return files;
}

/// The pieces of all files, those of replicas once.
class Pieces {
 public:
  void add(const fs::path& set, const storage::LonePiece& piece, std::uint64_t first) {
    auto [at, is_new] = tensors_.try_emplace({piece.tensor.family, piece.tensor.name});
    Tensor& tensor = at->second;
    if (is_new) tensor.info = piece.tensor;
    if (tensor.info != piece.tensor) {
      refuse(set, "disagree on " + label(piece.tensor) + ": " + type_and_shape(tensor.info) +
                      " and " + type_and_shape(piece.tensor));
    }
    if (is_empty(piece.box) || !tensor.boxes.insert({piece.box.offset, piece.box.extent}).second) {
      return;
    }
    tensor.pieces.push_back({piece.box, first + piece.offset});
  }

  [[nodiscard]] storage::StructureDigest structure() const {
    std::vector<TensorInfo> infos;
    for (const auto& [key, tensor] : tensors_) infos.push_back(tensor.info);
    return structure_of(infos);
  }

  [[nodiscard]] std::vector<std::string> incomplete() const {
    std::vector<std::string> names;
    for (const auto& [key, tensor] : tensors_) {
      std::vector<Box> boxes;
      for (const StoredPiece& piece : tensor.pieces) boxes.push_back(piece.box);
      if (plan::prove_cover(tensor.info.shape, boxes) != plan::CoverProof::exact) {
        names.push_back(listed_name(tensor.info.family, tensor.info.name));
      }
    }
    return names;
  }

  void move_to(Stored& stored) {
    for (auto& [key, tensor] : tensors_) {
      stored.tensors.push_back(std::move(tensor.info));
      stored.pieces.push_back(std::move(tensor.pieces));
    }
  }

 private:
  struct Tensor {
    TensorInfo info;
    std::set<std::pair<Shape, Shape>> boxes;
    std::vector<StoredPiece> pieces;
  };
  std::map<std::pair<Family, std::string>, Tensor> tensors_;
};

}  // namespace

bool is_lone_set(const fs::path& path) {
  const auto name = storage::lone_name_of(path);
  return name && !name->rank;
}

LoneMark lone_mark_at(const fs::path& path, const storage::Record& record) {
  const auto mark = storage::mark_of(record, path.string());
  const auto name = storage::lone_name_of(path);
  if (mark && name && mark->rank == name->rank && mark->ranks == name->ranks) return *mark;
  throw Error(ErrorCode::damaged,
              path.string() + ": it is not the lone shard that it is named for");
}

std::vector<Bytes> look_at_lone_files(const Comm& comm, const fs::path& set,
                                      const storage::Unlock& unlock) {
  WireWriter paths;
  run_on_root(comm, [&] {
    for (const fs::path& path : storage::lone_files(set)) paths.put_text(path.string());
  });
  const Bytes told = comm.broadcast(paths.take());
  WireReader reader(told);
  WireWriter writer;
  run_together(comm, [&] {
    for (int i = 0; !reader.done(); ++i) {
      Seen seen;
      seen.path = reader.get_text();
      if (i % comm.size() != comm.rank()) continue;
      seen.problem = attempt([&] { look_at(seen, unlock); });
      if (seen.problem && seen.problem->code() != ErrorCode::damaged &&
          seen.problem->code() != ErrorCode::not_found) {
        throw Error(*seen.problem);  // a refusal is not damage
      }
      put(writer, seen);
    }
  });
  return comm.gather(writer.take());
}

Stored put_lone_set_together(const fs::path& set, const std::vector<Bytes>& seen,
                             const storage::Unlock& unlock) {
  std::vector<Seen> all;
  for (const Bytes& bytes : seen) {
    for (WireReader reader(bytes); !reader.done();) all.push_back(get(reader));
  }
  const std::vector<Seen> files = those_of_one_state(set, std::move(all));
  if (!unlock.accept_unmarked && std::ranges::any_of(files, [](const Seen& file) {
        return !file.mark.updates_marked;
      })) {
    refuse(set,
           "may have been taken in the middle of an update, which the program does not mark by "
           "before_update(): they are used only where accept_unmarked_breakpoint asks for it");
  }
  Stored stored;
  stored.path = set;
  stored.identity = files.front().identity;
  Pieces pieces;
  for (const Seen& file : files) {
    append_file(stored, file.path, file.file);
    for (const storage::LonePiece& piece : file.pieces) {
      pieces.add(set, piece, stored.files.back().first);
    }
  }
  if (const auto names = pieces.incomplete(); !names.empty()) {
    refuse(set, "is not the whole of " + list_names(names) + ": " + ranks_in(files));
  }
  if (pieces.structure() != files.front().mark.structure) {
    refuse(set, "lacks whole tensors, or the structure was not known: " + ranks_in(files));
  }
  pieces.move_to(stored);
  return stored;
}

}  // namespace cairn::coord
