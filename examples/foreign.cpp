// Loads one dataset of an HDF5 file that somebody else wrote (here: of type float64 or convertible
// to it), every rank its rows, and prints their sums:
//   mpirun -n 3 foreign measured.h5 run/temperature 512 300
#include <cairn/cairn.hpp>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <vector>

static void run(int rank, int ranks, const std::string& file, const std::string& name,
                const cairn::Shape& shape) {
  const cairn::Slice rows = cairn::split(shape, /*dim*/ 0, rank, ranks);
  std::vector<double> values(cairn::element_count(rows.extent));
  cairn::State state;
  state.add(name, std::span(values), rows);

  // The file may hold more than we ask for, and floats of other sizes and byte orders.
  const cairn::LoadReport report =
      cairn::load(MPI_COMM_WORLD, file, state, {.strict = false, .convert_dtype = true});
  const std::vector<std::string>& wrong =
      report.missing.empty() ? report.different : report.missing;
  if (!wrong.empty()) throw cairn::Error(cairn::ErrorCode::mismatch, wrong.front());

  const double mine = std::accumulate(values.begin(), values.end(), 0.0);
  double all = 0;
  MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    std::printf("%s: sum %.17g over %d ranks, %s file\n", name.c_str(), all, ranks,
                report.foreign ? "foreign" : "Cairn's");
  }
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1, status = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  try {
    const auto usage = cairn::ErrorCode::invalid_argument;
    if (argc < 4) throw cairn::Error(usage, "foreign FILE NAME ROWS …");
    cairn::Shape shape;
    for (int i = 3; i < argc; ++i) shape.push_back(std::stoull(argv[i]));
    run(rank, ranks, argv[1], argv[2], shape);
  } catch (const std::exception& error) {  // the same on every rank
    if (rank == 0) std::fprintf(stderr, "%s\n", error.what());
    status = 1;
  }
  MPI_Finalize();
  return status;
}
