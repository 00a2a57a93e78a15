// Goes once through every configuration, while the shim writes down each call: trace_test.py
// compares that with what strace saw. Arguments: an empty directory to work in and one for the traces.
#include <fcntl.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdio>

#include "faults/configurations.hpp"
#include "faults/shim.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cairn::faults;

/// All that touches the directory is Cairn's, or the shim would have to know of it.
void go_through(const Configuration& what, const fs::path& directory) {
  leave_old_state(MPI_COMM_WORLD, what, directory, [](std::int64_t) {}, [](std::int64_t) {});
  Program program(MPI_COMM_WORLD, what, directory);
  if (const auto error = program.act()) throw cairn::Error(*error);
}

int run(const fs::path& root, const fs::path& traces) {
  Shim* const shim = find_shim();
  if (shim == nullptr) return 1;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const int trace = ::open((traces / ("shim." + std::to_string(rank))).c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  shim->watch(root, rank);
  shim->trace(trace);
  for (const Configuration& what : configurations()) go_through(what, root / what.name);
  shim->trace(-1);
  shim->watch({}, rank);
  return trace < 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
  int code = 2;
  try {
    if (argc == 3) code = run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  MPI_Finalize();
  return code;
}
