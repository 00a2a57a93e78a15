#pragma once

#include <mpi.h>

#include <deque>
#include <filesystem>
#include <optional>
#include <vector>

#include "cairn/error.hpp"
#include "coord/comm.hpp"
#include "storage/block_sink.hpp"

namespace cairn::coord {

/// A file that all ranks write blocks of together, by MPI-IO: for file systems where the caches of
/// several hosts spoil what POSIX calls write.
///
/// Its turns are collective writes of one block a rank, or of none. All ranks take as many turns:
/// the greatest number of blocks that any of them has. Waits inside MPI-IO have no deadline.
///
/// MPI-IO may lock the whole file while it writes, and waits for ever for a lock of somebody else,
/// this process's own included: nobody may hold one.
class CollectiveFile final : public storage::BlockSink {
 public:
  /// Collective. Opens `path` for writing; `blocks` is how many this rank has, which go through
  /// `writer`. On error every rank throws the same one.
  CollectiveFile(const Comm& comm, std::filesystem::path path, std::size_t blocks,
                 storage::ImageWriter& writer);
  /// Local. A file that was not closed stays open: closing it would wait for the other ranks.
  ~CollectiveFile() override = default;

  void submit(std::span<std::byte> bytes, std::uint64_t position, std::size_t token,
              std::vector<storage::LooseBytes> loose) override;
  std::optional<Completion> poll() override;
  /// Collective, if there is a turn to take.
  bool take_turn(std::size_t ready) override;

  /// Collective, after all turns, also for ranks that failed. `sync`: what was written is durable,
  /// and seen by all hosts. Returns this rank's error.
  [[nodiscard]] std::optional<Error> close(bool sync);

 private:
  struct Block {
    std::span<std::byte> bytes;
    std::uint64_t offset;
    std::size_t token;
  };

  void check(int code, const std::string& verb) const;
  void write_together(std::span<std::byte> bytes, std::uint64_t offset);

  std::filesystem::path path_;
  storage::ImageWriter& writer_;
  MPI_File file_ = MPI_FILE_NULL;
  std::uint64_t turns_ = 0;
  std::uint64_t turns_taken_ = 0;
  std::deque<Block> waiting_;
  std::deque<Completion> completed_;
};

}  // namespace cairn::coord
