#pragma once

#include <mpi.h>

#include <cstdint>
#include <string>

namespace bench {

/// MPI from here to the end of the program, and this process's place in it.
class World {
 public:
  /// Initialises MPI; the one before any other.
  World(int* argc, char*** argv);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  [[nodiscard]] MPI_Comm comm() const noexcept { return MPI_COMM_WORLD; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int ranks() const noexcept { return ranks_; }
  [[nodiscard]] bool is_root() const noexcept { return rank_ == 0; }

  /// Collective. The largest value of any rank.
  [[nodiscard]] std::uint64_t max(std::uint64_t value) const;
  /// Collective. Over all ranks.
  [[nodiscard]] double sum(double value) const;
  /// Collective. Whether it is true on every rank.
  [[nodiscard]] bool all(bool value) const;
  /// Collective. Rank 0's text, everywhere.
  [[nodiscard]] std::string from_root(std::string text) const;
  /// Collective. Returns when all are here, with the time in seconds.
  [[nodiscard]] double synchronised_time() const;

 private:
  int rank_ = 0;
  int ranks_ = 1;
};

}  // namespace bench
