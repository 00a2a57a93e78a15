#pragma once

#include <mpi.h>

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace cairn::tools {

/// Whether this process prints: it was started alone, or is rank 0. Asks the environment of mpirun
/// until MPI is up, so that what needs no MPI does without.
bool speaks() noexcept;

/// MPI, and this process's place in it.
class Ranks {
 public:
  [[nodiscard]] MPI_Comm comm() const noexcept { return MPI_COMM_WORLD; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] bool is_root() const noexcept { return rank_ == 0; }

  /// Collective. Runs a local step; every rank returns, or throws the error of the lowest rank
  /// that has one.
  void agree(const std::function<void()>& step) const;
  /// Collective. Rank 0's text, everywhere.
  [[nodiscard]] std::string from_root(std::string text) const;
  /// Collective. What all ranks pass, by rank, on rank 0. The same number on every rank.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::vector<T> gather(std::span<const T> own) const {
    std::vector<T> all(is_root() ? own.size() * static_cast<std::size_t>(size_) : 0);
    gather_bytes(std::as_bytes(own), reinterpret_cast<std::byte*>(all.data()));
    return all;
  }

  /// Starts MPI, runs `task`, ends MPI. What `task` throws must be the same on every rank; else
  /// the job is ended.
  static int run(const std::function<int(const Ranks&)>& task);

 private:
  Ranks();
  void gather_bytes(std::span<const std::byte> own, std::byte* all) const;

  int rank_ = 0;
  int size_ = 1;
};

}  // namespace cairn::tools
