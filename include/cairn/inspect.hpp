#pragma once

#include <mpi.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cairn/append_info.hpp"
#include "cairn/dtype.hpp"
#include "cairn/error.hpp"
#include "cairn/export.hpp"
#include "cairn/key.hpp"
#include "cairn/options.hpp"
#include "cairn/save.hpp"
#include "cairn/slice.hpp"

namespace cairn {

/// Files of ranks that left the training loop, each without the others: of one of them, or all that
/// are there of one step. Together they may be a whole state: `load` and `restore` take them then.
struct LoneShards {
  std::vector<std::uint64_t> ranks;  ///< whose files these are, in ascending order
  std::uint64_t of = 1;              ///< ranks that there were
};

/// A checkpoint as it can be told without reading its values, and without a key.
struct CheckpointInfo {
  /// The file, or the directory of shards; of lone shards with '*' for the rank, or the one file.
  std::filesystem::path path;
  bool shards = false;                ///< a directory with a file per rank
  std::optional<LoneShards> lone;     ///< they are lone shards; what is below is of the newest
  bool sealed = false;                ///< encrypted
  bool breakpoint = false;            ///< saved because the loop ended by an exception or a signal
  std::string series;                 ///< "run" or "run_1"; empty: saved by `save`
  std::uint64_t sequence = 0;         ///< counts the checkpoints of a series; the highest is the newest
  std::uint64_t step = 0;             ///< that it was saved after
  std::uint64_t epoch = 0;            ///< of that step, counted from 1
  std::uint64_t step_in_epoch = 0;    ///< counted from 1
  std::uint64_t steps_per_epoch = 0;  ///< 0: not known
  Time saved_at{};                    ///< as the saving run's clock had it
  RunId run_id{};                     ///< of the run that saved it
  std::uint64_t bytes = 0;            ///< on the disk, of all its files
  /// Of an increment of MapParameters: the how manyth it is on the full one, from 1. 0: full.
  std::uint64_t increment = 0;
  std::uint64_t base = 0;             ///< of an increment: `sequence` of that full one
  /// Of an increment: which of those that it goes back to is missing or another, in words. It cannot
  /// be loaded then. Nothing: all are there, though their values may be damaged.
  std::optional<std::string> broken;
  /// Why it cannot be read. Series, epoch and step are those of its name then, the rest is 0.
  std::optional<Error> problem;
  /// It is whole and says that it is another checkpoint than its name says: what it is. `restore`
  /// passes over it; `load` takes it.
  std::optional<std::string> misnamed;
};

/// Something in a directory of checkpoints that is none, or none any more.
struct Leftover {
  /// What it was.
  enum class Kind : std::uint8_t {
    temporary,    ///< is being written, or was when its job died
    trash,        ///< is being deleted, or was when its job died
    replaced,     ///< put aside while another save of the same step was published
    quarantined,  ///< found damaged and put aside
  };
  std::filesystem::path path;  ///< where it is
  Kind kind{};                 ///< what it was
  std::uint64_t bytes = 0;     ///< on the disk
};

/// Local. The name as it stands above: "temporary".
CAIRN_API std::string_view to_string(Leftover::Kind kind) noexcept;

/// What is in a directory.
struct Listing {
  /// By series, those of later runs first; in a series the newest first, before them those that
  /// cannot tell.
  std::vector<CheckpointInfo> checkpoints;
  std::vector<Leftover> leftovers;  ///< by path
};

/// Local. What the checkpoint at `path` says of itself, as `list` has it. Throws `not_found`.
CAIRN_API CheckpointInfo identify(const std::filesystem::path& path);

/// Local. The checkpoints in `directory`, and in those that its catalog names. Their structure is
/// not looked at, only what they say of themselves. Throws `not_found` where there is no such
/// directory, `damaged` where the catalog is.
CAIRN_API Listing list(const std::filesystem::path& directory);

/// A box of a tensor, in one piece and row-major.
struct Piece {
  Shape offset;          ///< of its first element in the tensor
  Shape extent;          ///< of the box
  std::size_t file = 0;  ///< index into `Contents::files`
  /// Byte of the file; of a sealed file, of the image in it. Nothing where the file has a problem.
  std::optional<std::uint64_t> position;
};

/// A tensor and where it lies.
struct StoredTensor {
  std::string name;           ///< as it was given to `State::add`: any bytes
  DType dtype{};              ///< of its elements
  Shape shape;                ///< of the whole tensor
  std::uint64_t bytes = 0;    ///< of its values
  /// They cover it exactly once; none where it is empty. Of lone shards those that are there, the
  /// same box once for each file that holds it.
  std::vector<Piece> pieces;
};

/// An entry of append_info.
struct StoredInfo {
  std::string name;  ///< its key: any bytes
  /// What it is; nothing where it cannot be read.
  std::optional<AppendedValue> value;
  std::optional<Error> problem;  ///< why it cannot be read
};

/// What is stored of a MapParameter.
struct StoredMapParameter {
  std::string name;           ///< as it was given to `State::add`
  DType key_dtype{};          ///< int32 or int64
  DType dtype{};              ///< of a row's elements
  Shape row_shape;            ///< of a row
  std::uint64_t entries = 0;  ///< that are stored: all, or those that an increment changes
  std::uint64_t bytes = 0;    ///< of their keys, statuses and rows
};

/// One file of a checkpoint.
struct StoredFile {
  std::filesystem::path path;    ///< where it is
  std::uint64_t bytes = 0;       ///< its length
  std::optional<Error> problem;  ///< why it, a shard, cannot be read
};

/// All structure of a checkpoint, and the plain values of its append_info. `problem` is that of the
/// first shard that cannot be read, or else of the first of those values.
struct Contents : CheckpointInfo {
  std::string writer;              ///< program and version
  std::string required_features;   ///< words separated by blanks
  std::string optional_features;   ///< words separated by blanks
  bool has_crc = false;            ///< every block has a CRC
  std::optional<EncMode> enc_mode;  ///< how it is encrypted
  std::uint64_t block_bytes = 0;   ///< of a block of values
  std::uint64_t value_bytes = 0;   ///< of all `tensors`; of lone shards, of all their pieces
  std::vector<StoredFile> files;   ///< the one; of shards the index, then each shard
  std::vector<StoredTensor> tensors;  ///< in bytewise order of their names
  std::vector<StoredInfo> append_info;  ///< in bytewise order of the keys
  std::vector<StoredMapParameter> maps;  ///< in bytewise order of their names
  /// Of lone shards: what these files lack to be a whole state, in words. Nothing: they are one.
  std::optional<std::string> lacks;
};

/// What opens an encrypted checkpoint.
struct InspectOptions {
  /// As in `LoadOptions`.
  Key enc_key{};
  /// As in `LoadOptions`.
  std::optional<EncMode> enc_mode{};
};

/// Local. Reads and checks the structure of the checkpoint at `path`, and of the values those of
/// append_info that are no tensors. Missing and damaged shards are told in `Contents::files`,
/// values that cannot be read in `Contents::append_info`; anything else is thrown, as by `load`.
CAIRN_API Contents inspect(const std::filesystem::path& path, const InspectOptions& options = {});

/// How to verify. The same on every rank, but for `progress`.
struct VerifyOptions : InspectOptions {
  /// Called on rank 0 now and then, at the end too: bytes that all ranks have checked, of how many.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress{};
  /// As in `WriteOptions`.
  std::chrono::seconds deadline{600};
};

/// A block, or a whole file, that is not what was written.
struct Damage {
  std::filesystem::path file;           ///< where
  std::optional<std::uint64_t> offset;  ///< of the block in the file; nothing: the whole file
  std::uint64_t bytes = 0;              ///< of the block
  std::string reason;                   ///< in words
  std::vector<std::string> tensors;     ///< that have values there, in bytewise order
};

/// What `verify` found. The same on every rank.
struct VerifyReport {
  std::filesystem::path path;                ///< the checkpoint
  Verified verified = Verified::structure;   ///< how its blocks were
  std::uint64_t files = 0;                   ///< that it consists of
  std::uint64_t blocks = 0;                  ///< that were read
  std::uint64_t bytes = 0;                   ///< that were read
  /// By file and offset; at the end, of an increment, that what it goes back to is not there.
  std::vector<Damage> damage;
  std::optional<std::string> misnamed;       ///< as in `CheckpointInfo`
  /// Lone shards: each file was verified; whether they are a whole state together was not looked at.
  bool lone = false;

  /// Local. Whether nothing is damaged.
  [[nodiscard]] bool good() const noexcept { return damage.empty(); }
};

/// Collective over `comm`, which is duplicated and never used itself.
/// Reads every byte of the checkpoint at `path` (rank 0's counts), the ranks sharing the work, and
/// checks it against whatever the checkpoint has to check it against. Goes on after damage, which
/// is reported and not thrown. Of an increment, what it goes back to is looked for, but not verified
/// itself. On Error (`not_found`, `wrong_key`, `io`, …) every rank throws the
/// same one.
CAIRN_API VerifyReport verify(MPI_Comm comm, const std::filesystem::path& path,
                              const VerifyOptions& options = {});

}  // namespace cairn
