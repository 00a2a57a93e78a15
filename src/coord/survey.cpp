#include "coord/survey.hpp"

#include <algorithm>
#include <map>
#include <iterator>
#include <set>

#include "coord/damage_wire.hpp"
#include "coord/lone_set.hpp"
#include "coord/together.hpp"
#include "storage/image.hpp"
#include "storage/listing.hpp"
#include "storage/shard_index.hpp"

namespace cairn::coord {
namespace {

namespace fs = std::filesystem;

/// What was found in one file.
struct Seen {
  std::vector<SurveyedFile> file;  ///< one, or none where nothing of it can be relied on
  std::vector<SurveyedRange> ranges;
  std::vector<Damage> damage;
};

void put(WireWriter& writer, const SurveyedFile& file) {
  writer.put_text(file.path.string()).put(file.block_bytes).put(file.bytes).put(file.offset);
  writer.put(file.verified).put(file.enc_mode).put(file.sealed);
  writer.put_all(std::span<const std::byte>(file.marks));
}

SurveyedFile get_file(WireReader& reader) {
  SurveyedFile file;
  file.path = reader.get_text();
  file.block_bytes = reader.get<std::uint64_t>();
  file.bytes = reader.get<std::uint64_t>();
  file.offset = reader.get<std::uint64_t>();
  file.verified = reader.get<Verified>();
  file.enc_mode = reader.get<EncMode>();
  file.sealed = reader.get<SealedSource>();
  file.marks = reader.get_all<std::byte>();
  return file;
}

Bytes to_wire(const Seen& seen) {
  WireWriter writer;
  writer.put(seen.file.size());
  for (const SurveyedFile& file : seen.file) put(writer, file);
  writer.put(seen.ranges.size());
  for (const SurveyedRange& range : seen.ranges) {
    writer.put(range.first).put(range.last).put_text(range.tensor);
  }
  writer.put(seen.damage.size());
  for (const Damage& damage : seen.damage) put_damage(writer, damage);
  return writer.take();
}

Seen seen_from_wire(const Bytes& bytes) {
  WireReader reader(bytes);
  Seen seen;
  for (auto n = reader.get<std::size_t>(); n > 0; --n) seen.file.push_back(get_file(reader));
  for (auto n = reader.get<std::size_t>(); n > 0; --n) {
    const auto first = reader.get<std::uint64_t>();
    const auto last = reader.get<std::uint64_t>();
    seen.ranges.push_back({0, first, last, reader.get_text()});
  }
  for (auto n = reader.get<std::size_t>(); n > 0; --n) seen.damage.push_back(get_damage(reader));
  return seen;
}

/// Of a sealed file all of the image is in blocks, of a plain one head and body.
SurveyedFile file_of(const storage::ImageFile& image) {
  SurveyedFile file;
  file.path = image.path();
  if (const storage::SealedFile* const sealed = image.sealed()) {
    const storage::SealedHeader& header = sealed->header;
    file.block_bytes = header.block_bytes;
    const storage::SealedPlaces places(header);
    file.offset = places.offset_of(0);
    file.bytes = places.tag_offset - file.offset;
    file.verified = Verified::seal;
    file.enc_mode = header.mode;
    file.sealed = {header.file_id, sealed->digest, header.blocks_begin};
    file.marks = sealed->tags;
    return file;
  }
  const storage::Record record = storage::read_record(image);
  file.block_bytes = record.block_bytes;
  file.bytes = record.tail_offset;
  if (!record.has_crc()) return file;
  file.verified = Verified::crc;
  const std::vector<std::uint32_t> crcs = storage::read_crcs(image, record);
  const auto marks = std::as_bytes(std::span(crcs));
  file.marks.assign(marks.begin(), marks.end());
  return file;
}

/// What is wrong with a file, without its name in front: a report has that beside it.
std::string reason_of(const fs::path& path, const Error& error) {
  const std::string text = error.what();
  const std::string name = path.string();
  if (text.starts_with(name + ": ")) return text.substr(name.size() + 2);
  if (text.starts_with(name + " ")) return "it" + text.substr(name.size());
  return text;
}

/// Of a file whose structure is damaged: its blocks, where at least what tells of them is whole.
Seen look_behind_damage(const fs::path& path, const storage::Unlock& unlock, const Error& error) {
  Seen seen;
  seen.damage.push_back({path, std::nullopt, 0, reason_of(path, error), {}});
  try {
    seen.file.push_back(file_of(storage::ImageFile::open(path, unlock)));
  } catch (const Error&) {
    return seen;  // said already
  }
  return seen;
}

/// `name_of` says how reports call a dataset.
template <class NameOf>
Seen seen_of(const storage::ImageFile& file, const storage::ImageIndex& image, NameOf&& name_of) {
  Seen seen;
  seen.file.push_back(file_of(file));
  try {
    file.check_gap();
  } catch (const Error& error) {
    // Also where the disk does not give it: as for a block, that is what a report is about.
    seen.damage.push_back({file.path(), std::nullopt, 0, reason_of(file.path(), error), {}});
  }
  for (const PlacedTensor& tensor : image.tensors) {
    if (tensor.offset == kNoOffset) continue;
    const std::uint64_t bytes = element_count(tensor.shape) * size_of(tensor.dtype);
    seen.ranges.push_back({0, tensor.offset, tensor.offset + bytes, name_of(tensor)});
  }
  return seen;
}

Seen look_at_image(const fs::path& path, const storage::Unlock& unlock) {
  try {
    const auto file = storage::ImageFile::open(path, unlock);
    const storage::ImageIndex image = storage::read_index(file);
    storage::check_same_identity(file, image.record);
    return seen_of(file, image, [](const PlacedTensor& tensor) {
      return listed_name(tensor.family, tensor.name);
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::damaged) throw;
    return look_behind_damage(path, unlock, error);
  }
}

Seen look_at_lone(const fs::path& path, const storage::Unlock& unlock) {
  try {
    const auto file = storage::ImageFile::open(path, unlock);
    const storage::ImageIndex image = storage::read_index(file);
    storage::check_same_identity(file, image.record);
    static_cast<void>(lone_mark_at(path, image.record));
    return seen_of(file, image, [&](const PlacedTensor& dataset) {
      const storage::LonePiece piece = storage::lone_piece(dataset, path.string());
      return listed_name(piece.tensor.family, piece.tensor.name);
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::damaged) throw;
    return look_behind_damage(path, unlock, error);
  }
}

/// Of each dataset in a shard, how reports call its tensor.
using TensorsOfPieces = std::map<std::pair<Family, std::string>, std::string>;

TensorsOfPieces tensors_of(const storage::ShardIndex& index, std::uint64_t shard) {
  TensorsOfPieces tensors;
  for (const storage::ShardedTensor& tensor : index.tensors) {
    for (const storage::ShardPiece& piece : tensor.pieces) {
      if (piece.shard == shard) {
        tensors.emplace(std::pair(tensor.family, storage::piece_name(tensor.name, piece.box)),
                        listed_name(tensor.family, tensor.name));
      }
    }
  }
  return tensors;
}

Seen look_at_shard(const fs::path& directory, std::uint64_t shard,
                   const storage::ReadIndex& index, const storage::Unlock& unlock) {
  const auto tensors = tensors_of(index.index, shard);
  const std::uint64_t shards = index.index.shards.size();
  const fs::path path = directory / storage::shard_file_name(shard, shards, index.sealed);
  try {
    const storage::ReadShard read = storage::read_shard(directory, shard, index, unlock);
    return seen_of(read.file, read.image, [&](const PlacedTensor& piece) {
      return tensors.at({piece.family, piece.name});
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::damaged) throw;
    Seen seen = look_behind_damage(path, unlock, error);
    std::set<std::string> names;
    for (const auto& [piece, tensor] : tensors) names.insert(tensor);
    seen.damage.front().tensors.assign(names.begin(), names.end());
    return seen;
  }
}

/// Rank 0.
void add(Seen seen, Survey& survey) {
  const std::uint64_t file = survey.files.size();
  for (SurveyedRange& range : seen.ranges) {
    range.file = file;
    survey.ranges.push_back(std::move(range));
  }
  std::ranges::move(seen.file, std::back_inserter(survey.files));
  std::ranges::move(seen.damage, std::back_inserter(survey.damage));
}

/// Every rank reads the index: small, and it spares sending it around. Nothing where it is damaged.
std::optional<storage::ReadIndex> read_shard_index(const Comm& comm, const fs::path& directory,
                                                   const storage::Unlock& unlock, Survey& survey) {
  std::optional<storage::ReadIndex> index;
  WireWriter found;  // what is wrong with it, on the ranks that see it so
  run_together(comm, [&] {
    try {
      index = storage::read_shard_index(directory, unlock);
    } catch (const Error& error) {
      const bool missing = error.code() == ErrorCode::not_found && fs::exists(directory);
      if (!missing && error.code() != ErrorCode::damaged) throw;
      const fs::path path = missing ? directory / storage::index_file_name(false)
                                    : storage::index_path(directory);
      const std::string why = missing ? "the index is missing" : reason_of(path, error);
      found.put_text(path.string()).put_text(why);
    }
  });
  // It may be whole for some and damaged for others: rank 0 hears what the first of those says.
  const std::vector<Bytes> from = comm.gather(found.take());
  const auto first = std::ranges::find_if_not(from, [](const Bytes& b) { return b.empty(); });
  if (first != from.end()) {
    WireReader reader(*first);
    const fs::path path = reader.get_text();
    survey.damage.push_back({path, std::nullopt, 0, reader.get_text(), {}});
  }
  if (all_of<std::int32_t>(comm, index ? 1 : 0, MPI_MIN) == 0) return std::nullopt;
  return index;
}

/// Collective. The ranks take turns at files; rank 0 hears what was seen in each of them.
template <class Look>
void look_in_turns(const Comm& comm, std::uint64_t files, Look&& look, Survey& survey) {
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  WireWriter mine;
  run_together(comm, [&] {
    for (auto f = static_cast<std::uint64_t>(comm.rank()); f < files; f += ranks) {
      const Bytes one = to_wire(look(f));
      mine.put_all(std::span<const std::byte>(one));
    }
  });
  const std::vector<Bytes> from = comm.gather(mine.take());
  std::vector<Seen> all(from.empty() ? 0 : files);
  for (std::size_t rank = 0; rank < from.size(); ++rank) {
    WireReader reader(from[rank]);
    for (std::uint64_t f = rank; f < files; f += ranks) {
      all[f] = seen_from_wire(reader.get_all<std::byte>());
    }
  }
  for (Seen& seen : all) add(std::move(seen), survey);
}

void survey_shards(const Comm& comm, const fs::path& directory, const storage::Unlock& unlock,
                   Survey& survey) {
  const auto index = read_shard_index(comm, directory, unlock, survey);
  survey.file_count = 1;
  if (!index) return;
  const std::uint64_t shards = index->index.shards.size();
  survey.file_count += shards;
  run_on_root(comm, [&] {
    Seen seen = look_at_image(storage::index_path(directory), unlock);
    seen.ranges.clear();  // its tables are no tensors
    add(std::move(seen), survey);
  });
  look_in_turns(
      comm, shards, [&](std::uint64_t s) { return look_at_shard(directory, s, *index, unlock); },
      survey);
}

/// Rank 0's list of files, everywhere.
void share_files(const Comm& comm, Survey& survey) {
  WireWriter writer;
  for (const SurveyedFile& file : survey.files) put(writer, file);
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  survey.files.clear();
  while (!reader.done()) survey.files.push_back(get_file(reader));
}

}  // namespace

Survey survey(const Comm& comm, const fs::path& path, const storage::Unlock& unlock) {
  Survey survey;
  WireWriter writer;
  run_on_root(comm, [&] {
    const storage::Listed listed = storage::look_at_one(path);
    if (listed.lone && listed.lone_files.empty()) throw Error(*listed.problem);
    const bool is_directory = fs::is_directory(path);
    writer.put(is_directory).put(listed.lone.has_value()).put_text(path.string());
    for (const fs::path& file : listed.lone_files) writer.put_text(file.string());
    if (!is_directory && !listed.lone) add(look_at_image(path, unlock), survey);
    survey.misnamed = storage::misnaming(listed);
  });
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  const bool is_directory = reader.get<bool>();
  survey.lone = reader.get<bool>();
  survey.path = reader.get_text();
  survey.file_count = 1;
  if (survey.lone) {
    std::vector<fs::path> files;
    while (!reader.done()) files.emplace_back(reader.get_text());
    survey.file_count = files.size();
    look_in_turns(
        comm, files.size(), [&](std::uint64_t f) { return look_at_lone(files[f], unlock); },
        survey);
  } else if (is_directory) {
    survey_shards(comm, survey.path, unlock, survey);
  }
  share_files(comm, survey);
  return survey;
}

}  // namespace cairn::coord
