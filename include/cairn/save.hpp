#pragma once

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cairn/append_info.hpp"
#include "cairn/export.hpp"
#include "cairn/key.hpp"
#include "cairn/listener.hpp"
#include "cairn/options.hpp"
#include "cairn/state.hpp"

namespace cairn {

/// How to write one checkpoint, and what to note in it. The same on every rank, but for the
/// listener and the tensors of `append_info`.
struct SaveOptions : WriteOptions {
  /// true: one HDF5 file of full tensors. false: a directory with a file per rank and an index;
  /// faster where many hosts write to one file slowly. Loaded in any layout all the same.
  bool integrated_save = true;
  /// Stored beside the state, in a group of its own, as it is: no key counts anything here. Plain
  /// values must be the same on every rank.
  AppendDict append_info{};
  /// true: a CRC-32 of every block, checked by every load of what it reads. A load of a file without
  /// them finds damage of the structure only. Not with `enc_key`, nor with the writer `hdf5`.
  bool crc_check = false;
  /// A key: all of it is encrypted, and `path` should end in `.h5.enc`. Not with the writer `hdf5`.
  Key enc_key{};
  /// With `enc_key` only. The key has 16, 24 or 32 bytes for AES, 16 for SM4.
  EncMode enc_mode = EncMode::aes_gcm;
  /// Noted in the file; of no consequence.
  std::uint64_t step = 0;
  /// Now, if not given. Two saves of one state with the same `saved_at` are equal byte for byte.
  std::optional<Time> saved_at;
  /// Noted in the file; of no consequence.
  RunId run_id{};
  /// Hears of this save. Not owned; must outlive the call.
  Listener* listener = nullptr;
};

/// What a save did. The same on every rank.
struct SaveReport {
  std::filesystem::path path;     ///< the file
  std::uint64_t file_bytes = 0;   ///< its length
  std::uint64_t value_bytes = 0;  ///< of the state's tensors in full, replicas counted once
  std::uint64_t tensors = 0;      ///< of the state, how many
  std::uint64_t map_bytes = 0;    ///< of the entries of MapParameters that were stored
  bool is_increment = false;      ///< those are what changed since the checkpoint before
  /// Seconds of each phase on rank 0, indexed by `Phase`; `retaining` comes after the report.
  std::array<double, kPhaseCount> seconds{};
  /// What the program waited for this save, on the rank that waited longest: all of it, but with
  /// `async_save`. What a later call waited for its end is told to the listener (`waited`) instead.
  double stall_seconds = 0;
  std::uint64_t written_max = 0;  ///< bytes of blocks written by the busiest rank
  double written_mean = 0;        ///< bytes of blocks written, mean over ranks
  std::uint64_t staged_peak = 0;  ///< largest bytes in buffers that any rank held
  std::uint64_t plan_bytes = 0;   ///< largest bytes of plan that any rank held
  bool plan_reused = false;  ///< the structure was that of the last save
  bool direct_io = false;    ///< the page cache was bypassed
  bool reserved = false;     ///< space was reserved before data moved

  /// Local. The sum of `seconds`.
  [[nodiscard]] CAIRN_API double total_seconds() const noexcept;
};

/// How the blocks that a load read were verified. Structure and records always are.
enum class Verified : std::uint8_t {
  structure,  ///< not: plain, saved without `crc_check`, or foreign
  crc,        ///< by CRC-32
  seal,       ///< authenticated with the key
};

/// Local. The name as it stands above.
CAIRN_API std::string_view to_string(Verified verified) noexcept;

/// What to load of a file, and how strictly. The same on every rank, but for `append_info`.
struct LoadOptions {
  /// true: every tensor of the file must be held by some rank, with its shape and dtype, and the
  /// other way round; else one error lists all that is not so. false: what fits is loaded, and the
  /// report has the lists. Judged over all ranks together. Must be the same on every rank.
  bool strict = true;
  /// Only tensors of the state for whose names this returns true take part; the file's others are
  /// not extra then. Empty: all. Must be the same function on every rank.
  std::function<bool(std::string_view name)> filter{};
  /// The name in the file is the state's name with `strip_prefix` taken off, where it begins with
  /// it, and `add_prefix` put before the rest.
  std::string strip_prefix{};
  /// See `strip_prefix`.
  std::string add_prefix{};
  /// true: a float is converted to another float type, an integer to another integer type.
  bool convert_dtype = false;
  /// With `convert_dtype`, what to do with a value that the state's type cannot hold. false: an
  /// error. true: floats become infinite (NaN in float8_e4m3), integers wrap.
  bool allow_overflow = false;
  /// Tensors of append_info to fill, in slicings of their own; what is no tensor, or can only be
  /// read, is passed over. Filter and prefixes do not touch them. One that the file does not have
  /// is not filled, with a warning; one of another shape or dtype is a `mismatch` where
  /// `strict`.
  AppendDict append_info{};
  /// true: a file without CRCs is a `mismatch`. CRCs that are there are checked whatever this says.
  bool crc_check = false;
  /// What an encrypted file is opened with: `wrong_key` where it does not fit or is missing. A file
  /// that is not encrypted is a `mismatch` then.
  Key enc_key{};
  /// Nothing: the file says how it was encrypted. Another mode than the file's is a `mismatch`.
  std::optional<EncMode> enc_mode{};

  /// true: what ranks saved alone, when they left the training loop by an exception, is loaded even
  /// where the program never called `before_update`, so that nobody can tell whether the values were
  /// being changed.
  bool accept_unmarked_breakpoint = false;

  /// Hears of the phases of this load: `planning`, `moving`. Not owned; must outlive the call.
  /// `ModelCheckpoint::restore` takes that of its settings where there is none here.
  Listener* listener = nullptr;

  /// As in `WriteOptions`.
  std::size_t staging_bytes = std::size_t{64} << 20;
  /// As in `WriteOptions`.
  std::chrono::seconds deadline{600};
};

/// What a load did, and what the checkpoint says of itself. The same on every rank.
struct LoadReport {
  std::filesystem::path path;      ///< the file
  std::uint64_t step = 0;          ///< that it was saved after
  std::uint64_t epoch = 0;         ///< of that step, counted from 1
  std::uint64_t sequence = 0;      ///< counts the checkpoints of a series
  Time saved_at{};                 ///< as the saving run's clock had it
  std::string series;              ///< "run" or "run_1"; empty: saved by `save`
  std::uint64_t tensors = 0;       ///< how many the file has, append_info not counted
  std::uint64_t increments = 0;    ///< on a full checkpoint, that were replayed for MapParameters
  /// What was appended: its values; of tensors dtype and shape.
  AppendedInfo append_info;
  std::uint64_t bytes_filled = 0;  ///< of slices, over all ranks
  std::uint64_t bytes_needed = 0;  ///< of distinct values behind those slices
  std::uint64_t bytes_read = 0;    ///< of blocks that were read for them, over all ranks
  std::uint64_t staged_peak = 0;  ///< largest bytes in buffers that any rank held
  double seconds = 0;             ///< on rank 0
  bool direct_io = false;         ///< the page cache was bypassed
  Verified verified = Verified::structure;  ///< how the blocks were that were read
  /// What is odd, in words: a file that bears another checkpoint's name; after `restore` without
  /// `strict` had to fall back, that tensors which the older one does not hold may be changed; a
  /// tensor of append_info that was asked for and is not there.
  std::vector<std::string> warnings;
  /// The file was HDF5 that Cairn did not write: nothing is known of its step, epoch, sequence,
  /// time and series, and `bytes_read` counts values as HDF5 gave them, decoded.
  bool foreign = false;

  // What was not loaded, each with its type and shape; empty after a strict load. Sorted.
  std::vector<std::string> missing;    ///< asked for by some rank, not in the file
  std::vector<std::string> extra;      ///< in the file, asked for by no rank
  std::vector<std::string> different;  ///< in shape or dtype, both of which are told
};

/// Collective over `comm`, which is duplicated and never used itself.
/// Writes `state` as one HDF5 file (or shards) at `path`, replacing what is there. On return it is complete
/// and durable. On Error every rank throws the same one, and `path` is what it was before.
/// `state` must not change during the call and is not referenced after it.
CAIRN_API SaveReport save(MPI_Comm comm, const std::filesystem::path& path, const State& state,
                          const SaveOptions& options = {});

/// Collective over `comm`, which is duplicated and never used itself.
/// Fills `state` from the checkpoint at `path`, whatever number of ranks and layout it was saved
/// from. Boxes asked for may overlap and need not cover their tensors. On Error every rank throws
/// the same one; its message says whether `state` is unchanged (nothing had moved yet) or
/// unspecified. After `unresponsive` what a late rank had sent may still arrive in the values: they
/// must stay where they are until the program ends.
///
/// What ranks saved alone is loaded by a path with '*' for the rank, `….rank*of4.shard`.
///
/// `path` may be any other HDF5 file as well, such as one of h5py's: chunked, filtered by HDF5's
/// own filters, of either byte order, in groups. Names are the HDF5 paths without leading slash.
/// Datasets that are no tensors (strings, compounds, …) do not take part; asking for one is a
/// `mismatch`. Refused as `damaged`, wherever in the file: links that are not hard, a second name of
/// an object, virtual datasets, values in other files, impossible sizes.
CAIRN_API LoadReport load(MPI_Comm comm, const std::filesystem::path& path, State& state,
                          const LoadOptions& options = {});

}  // namespace cairn
