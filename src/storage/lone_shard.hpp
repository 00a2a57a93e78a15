#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/box.hpp"
#include "base/tensor.hpp"
#include "policy/names.hpp"
#include "storage/directory.hpp"
#include "storage/image.hpp"
#include "storage/record.hpp"

namespace cairn::storage {

// A lone shard is what one rank wrote that left the training loop without the others: an image whose
// datasets are the boxes that this rank holds, each named for its tensor, the box, and the tensor's
// shape, since there is no index:
//
//   weight[0:512/4096,0:1024/1024]    rows 0 to 511 of weight, which is 4096 x 1024
//   step[]                            a scalar
//
// Its record requires the feature `lone_shard`, so that nobody takes it for a whole checkpoint, and
// tells in optional words what else must fit: `rank:2/4 structure:<32 digits> updates:marked`.

/// A digest of all tensors of a state, of all ranks, but not of how they are sliced. All zero: not
/// known.
using StructureDigest = std::array<std::uint64_t, 2>;

/// What a lone shard says of itself beside its identity.
struct LoneMark {
  std::uint64_t rank = 0;
  std::uint64_t ranks = 1;
  StructureDigest structure{};
  /// The program says when it changes values, so these are surely those of the step.
  bool updates_marked = false;

  bool operator==(const LoneMark&) const = default;
};

/// Whether two of a set are parts of one state, since they are of one attempt. Attempts may share the
/// run id, where the program gives it, and the step, but not the sequence number.
bool is_of_one_state(const Identity& a, const LoneMark& a_mark, const Identity& b,
                     const LoneMark& b_mark);

/// Notes `mark` in the record's features.
void put_mark(const LoneMark& mark, Record& record);
/// Nothing where the record is not that of a lone shard. Throws `damaged` where it says it badly.
std::optional<LoneMark> mark_of(const Record& record, const std::string& where);

/// The dataset of a box of a tensor of that shape.
std::string lone_piece_name(std::string_view tensor, const Box& box, const Shape& shape);

/// A box of a tensor in a lone shard.
struct LonePiece {
  TensorInfo tensor;
  Box box;
  std::uint64_t offset = kNoOffset;  ///< in the image
};
/// What a dataset of a lone shard is. Throws `damaged` where its name does not say, or not what it is.
LonePiece lone_piece(const PlacedTensor& dataset, const std::string& where);

/// All lone shards of a directory that may belong together, one for each name of a set:
/// `<stem>.rank*of<n>.shard`; what stands aside and has no other in its place, too. What they say of
/// themselves is that of the newest of them; of a set none of whose files can be read, `problem`
/// says why.
std::vector<Found> list_lone_sets(const std::filesystem::path& directory);

/// The files of a set that are there, by rank.
std::vector<std::filesystem::path> lone_files(const std::filesystem::path& set);

/// The name of the file that `path`, `<its name>.replaced`, stood aside for; nothing for others.
std::optional<policy::LoneName> replaced_lone_name_of(const std::filesystem::path& path);

/// Finishes what a crash cut short where a rank saved alone under a name that was taken: what
/// stands aside gets its name back where nothing bears it, and goes where that is good. Of the series for
/// which `is_ours` holds; `identity` is whose trash it is.
void recover_lone_files(const std::filesystem::path& directory,
                        const std::function<bool(const std::string& series)>& is_ours,
                        const policy::TemporaryName& identity);

/// The name of a set or of one of its files, at the end of `path`.
std::optional<policy::LoneName> lone_name_of(const std::filesystem::path& path);

}  // namespace cairn::storage
