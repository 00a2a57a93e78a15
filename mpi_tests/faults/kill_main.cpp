// The programs that kill_points.py runs under mpirun:
//
//   prepare CONFIGURATION DIRECTORY                 leaves the old state
//   act CONFIGURATION DIRECTORY VERDICTS VICTIM AT  VICTIM is killed at its AT-th call; who lives
//                                                   writes VERDICTS/<rank>: "code: message"
//   check CONFIGURATION FROM TO DIRECTORY...        (one rank) what a new program finds in each:
//                                                   "right", or what is wrong
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <span>

#include "faults/configurations.hpp"
#include "faults/shim.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cairn::faults;

Configuration named(const std::string& name) {
  const auto all = configurations();
  const auto at = std::ranges::find(all, name, &Configuration::name);
  if (at == all.end()) throw std::invalid_argument("no configuration is called " + name);
  return *at;
}

int rank_of_world() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

[[noreturn]] void act(Configuration what, const fs::path& directory, const fs::path& verdicts,
                      int victim, std::uint64_t at) {
  what.settings.write.deadline = std::chrono::seconds{1};
  Shim* const shim = find_shim();
  if (shim == nullptr) throw std::runtime_error("the shim is not preloaded");
  const int rank = rank_of_world();
  shim->watch(directory, rank);
  std::optional<Program> program(std::in_place, MPI_COMM_WORLD, what, directory);
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == victim) shim->arm({Deed::die, 0, kEvery, at});
  const auto error = program->act();
  if (rank == victim) shim->disarm();
  std::ofstream(verdicts / std::to_string(rank))
      << (error ? std::string(to_string(error->code())) + ": " + error->what() : "done");
  program.reset();
  // MPI_Finalize would wait for the dead.
  ::_exit(0);
}

void check(const Configuration& what, std::int64_t from, std::int64_t to,
           const fs::path& directory) {
  Model model(MPI_COMM_WORLD, what.has_map);
  const Found found = find(MPI_COMM_WORLD, what, directory, model);
  std::string told = found.problem;
  if (told.empty() && (found.version < from || found.version > to)) {
    told = "version " + std::to_string(found.version) + " is there";
  }
  std::printf("%s: %s\n", directory.c_str(), told.empty() ? "right" : told.c_str());
}

int run(std::span<char*> arguments) {
  const std::vector<std::string> words(arguments.begin() + 1, arguments.end());
  if (words.size() < 3) return 2;
  const Configuration what = named(words[1]);
  const auto nothing = [](std::int64_t) {};
  if (words[0] == "prepare") {
    leave_old_state(MPI_COMM_WORLD, what, words[2], nothing, nothing);
  } else if (words[0] == "act" && words.size() == 6) {
    act(what, words[2], words[3], std::stoi(words[4]), std::stoull(words[5]));
  } else if (words[0] == "check") {
    for (std::size_t i = 4; i < words.size(); ++i) {
      check(what, std::stoll(words[2]), std::stoll(words[3]), words[i]);
    }
  } else {
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
  int code = 1;
  try {
    code = run(std::span(argv, static_cast<std::size_t>(argc)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return code;
}
