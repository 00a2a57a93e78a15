#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/slice_access.hpp"
#include "cairn/options.hpp"
#include "cairn/state.hpp"
#include "coord/comm.hpp"
#include "plan/routes.hpp"
#include "storage/block_sink.hpp"
#include "storage/commit.hpp"
#include "storage/image_writer.hpp"
#include "storage/posix_file.hpp"
#include "storage/protection.hpp"
#include "storage/record.hpp"

namespace cairn::coord {

/// What rank 0 decides of a save; what the other ranks pass is ignored.
struct SaveRequest {
  std::filesystem::path path;
  storage::Record record;
};

/// Collective. Rank 0's request, on all ranks.
SaveRequest agree_on(const Comm& comm, const SaveRequest& request);

/// One file of full tensors, a directory with a file per rank, or what one rank holds, by itself.
enum class SaveKind : std::uint8_t { integrated, shards, lone };

/// The files of one save: under temporary names at first, then published. The numbers are the steps
/// of the commit (storage/commit.cpp); whoever has one of these takes them in this order.
class Target {
 public:
  struct Settings {
    WriteOptions write;
    storage::Protection protection;
    std::uint64_t hosts = 1;  ///< rank 0 only
    storage::Trash* trash = nullptr;  ///< what is being deleted; rank 0 only
  };

  /// All that it is given must outlive it.
  Target(const Comm& comm, const Settings& settings, const SaveRequest& request)
      : comm_(comm), settings_(settings), request_(request) {}
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// (1) Collective. Makes and opens the temporary files, of their final length.
  virtual void reserve() = 0;
  /// Local. The values of this rank, by `Holding::entry` of the plan's routes.
  [[nodiscard]] virtual std::vector<SliceAccess> slices(
      std::span<const State::Entry> entries) const = 0;
  /// (2) Where this rank's blocks go. Collective with the writer mpiio, else Local; throws together.
  virtual storage::BlockSink& open_sink() = 0;
  /// (5) Local, after all blocks of this rank: what it writes besides them without anything of other
  /// ranks, so that (3) syncs it, too.
  virtual void finish_own() {}
  /// (3) Local; collective with the writer mpiio, also for a rank that failed. Returns the first
  /// error.
  [[nodiscard]] virtual std::optional<Error> sync(std::optional<Error> error);
  /// (5) (6) Collective, after all ranks agreed that all of that worked (4): what is still missing.
  virtual void complete() = 0;
  /// (7) (8) (9) Collective.
  void publish();
  /// (10) Local. The files are left to `trash`.
  void discard_replaced(storage::Trash& trash);

  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return file_bytes_; }
  [[nodiscard]] bool direct() const noexcept { return direct_; }
  [[nodiscard]] bool reserved() const noexcept { return reserved_; }

 protected:
  void agree_on_direct();
  /// Rank 0. Does `step`; where there is no space for it once more, with what is being deleted gone.
  template <class Step>
  auto with_room(Step&& step);
  storage::BlockSink& open_file_sink();
  /// Local. Head and tail of `file_`; nothing of it is under way any more.
  void write_head_and_tail(const storage::ImageLayout& layout);

  const Comm& comm_;
  const Settings& settings_;
  const SaveRequest& request_;
  std::unique_ptr<storage::ImageWriter> writer_;  ///< of the one file, or this rank's shard
  std::unique_ptr<storage::Commit> commit_;       ///< rank 0 only
  std::optional<storage::PosixFile> file_;        ///< the one file, or this rank's shard
  std::optional<storage::FileSink> sink_;
  std::filesystem::path temporary_;
  std::uint64_t file_bytes_ = 0;
  bool reserved_ = false;
  bool direct_ = false;
};

template <class Step>
auto Target::with_room(Step&& step) {
  try {
    return step();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::no_space) throw;
  }
  settings_.trash->wait();
  return step();
}

}  // namespace cairn::coord
