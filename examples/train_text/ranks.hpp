#pragma once

#include <mpi.h>

#include <cairn/slice.hpp>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

/// What a tensor map says of a dimension; see `cairn::place`.
inline constexpr int kNotSplit = -1;
inline constexpr int kOverTensorRanks = 0;
inline constexpr int kOverDataRanks = 1;

inline int size_of(MPI_Comm group) {
  int size = 1;
  MPI_Comm_size(group, &size);
  return size;
}

/// All ranks as a matrix, data parallel x tensor parallel. A row of it holds one copy of the
/// model, split over its columns. 4 ranks are 2 x 2, 3 are 1 x 3, 2 are 1 x 2.
struct Ranks {
  Ranks() {
    const int ranks = size_of(MPI_COMM_WORLD);
    // Three before two: it divides none of the model's sizes, and uneven slices are no exception.
    const int tensor = ranks % 3 == 0 ? 3 : ranks % 2 == 0 ? 2 : 1;
    mesh.device_matrix = {static_cast<std::uint64_t>(ranks / tensor),
                          static_cast<std::uint64_t>(tensor)};
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, rank % tensor, rank, &data_group);
    MPI_Comm_split(MPI_COMM_WORLD, rank / tensor, rank, &tensor_group);
  }
  ~Ranks() {
    MPI_Comm_free(&data_group);
    MPI_Comm_free(&tensor_group);
  }
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank = 0;
  cairn::Mesh mesh;
  MPI_Comm data_group = MPI_COMM_NULL;    ///< the ranks that hold the same slices
  MPI_Comm tensor_group = MPI_COMM_NULL;  ///< the ranks that make up one copy of the model
};

/// Collective over all ranks. What rank 0 says.
template <class T>
requires std::is_trivially_copyable_v<T> T told_by_rank_0(T value) {
  MPI_Bcast(&value, sizeof(T), MPI_BYTE, 0, MPI_COMM_WORLD);
  return value;
}

/// Collective. The values of all ranks of the group, one rank after another.
template <class T>
requires std::is_trivially_copyable_v<T> std::vector<T> gather(MPI_Comm group,
                                                               std::span<const T> mine) {
  std::vector<T> all(mine.size() * static_cast<std::size_t>(size_of(group)));
  const int bytes = static_cast<int>(mine.size_bytes());
  MPI_Allgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, group);
  return all;
}

/// Collective. Adds up in rank order: as many ranks repeat a run bit for bit, and replicas stay
/// equal. MPI_Allreduce need not.
template <class T>
void sum_in_rank_order(MPI_Comm group, std::span<T> values) {
  if (size_of(group) == 1) return;
  const std::vector<T> all = gather(group, std::span<const T>(values));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T sum = all[i];
    for (std::size_t j = i + values.size(); j < all.size(); j += values.size()) sum += all[j];
    values[i] = sum;
  }
}
