// Saved by rows on all ranks; loaded by columns on all of them, and then on half as many. How a
// tensor was cut is forgotten when it is saved: each rank asks for the box that it wants now.
//   mpirun -n 4 reshard
#include <cairn/cairn.hpp>
#include <cstdio>
#include <span>
#include <vector>

static const cairn::Shape kShape{60, 44};

/// A box of the tensor whose element (row, column) is row * 1000 + column.
struct Box {
  cairn::Slice slice;
  std::vector<double> values = std::vector<double>(cairn::element_count(slice.extent));

  [[nodiscard]] double right(std::size_t i) const {
    const std::uint64_t row = slice.offset[0] + i / slice.extent[1];
    const std::uint64_t column = slice.offset[1] + i % slice.extent[1];
    return static_cast<double>(row * 1000 + column);
  }
};

static void save_rows(MPI_Comm comm, int rank, int ranks) {
  Box rows{cairn::split(kShape, /*dim*/ 0, rank, ranks)};
  for (std::size_t i = 0; i < rows.values.size(); ++i) rows.values[i] = rows.right(i);
  cairn::State state;
  state.add("field", std::span(rows.values), rows.slice);
  cairn::save(comm, "reshard.h5", state);
}

static bool load_columns(MPI_Comm comm) {
  int rank = 0, ranks = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  Box columns{cairn::split(kShape, /*dim*/ 1, rank, ranks)};
  cairn::State state;
  state.add("field", std::span(columns.values), columns.slice);
  cairn::load(comm, "reshard.h5", state);

  int wrong = 0;
  for (std::size_t i = 0; i < columns.values.size(); ++i)
    wrong += columns.values[i] == columns.right(i) ? 0 : 1;
  MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT, MPI_SUM, comm);
  if (rank == 0) std::printf("by columns on %d ranks: %d values wrong\n", ranks, wrong);
  return wrong == 0;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);

  save_rows(MPI_COMM_WORLD, rank, ranks);
  bool right = load_columns(MPI_COMM_WORLD);

  // Only those who load take part; the others need not wait.
  const bool stays = rank < (ranks + 1) / 2;
  MPI_Comm fewer = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, stays ? 0 : MPI_UNDEFINED, rank, &fewer);
  if (stays) {
    right = load_columns(fewer) && right;
    MPI_Comm_free(&fewer);
  }
  MPI_Finalize();
  return right ? 0 : 1;
}
