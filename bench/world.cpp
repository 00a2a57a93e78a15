#include "world.hpp"

#include <algorithm>
#include <string_view>

namespace bench {

namespace {

/// What `--threads` asks for, anywhere on the command line: it is needed before the rest is read.
int thread_level(int argc, char** argv) {
  int level = MPI_THREAD_SINGLE;
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "compare" || command == "maps") level = MPI_THREAD_MULTIPLE;
  const std::string_view option = "--threads";
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with(option)) continue;
    word.remove_prefix(option.size());
    if (word.empty() && i + 1 < argc) word = argv[i + 1];
    if (word.starts_with("=")) word.remove_prefix(1);
    level = word == "multiple" ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED;
  }
  return level;
}

}  // namespace

World::World(int* argc, char*** argv) {
  int given = MPI_THREAD_SINGLE;
  MPI_Init_thread(argc, argv, thread_level(*argc, *argv), &given);
  MPI_Comm_rank(comm(), &rank_);
  MPI_Comm_size(comm(), &ranks_);
}

World::~World() {
  MPI_Finalize();
}

std::uint64_t World::max(std::uint64_t value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_UINT64_T, MPI_MAX, comm());
  return value;
}

double World::sum(double value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_SUM, comm());
  return value;
}

bool World::all(bool value) const {
  return max(value ? 0 : 1) == 0;
}

std::string World::from_root(std::string text) const {
  text.resize(max(is_root() ? text.size() : 0));
  constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // MPI counts are int
  for (std::size_t done = 0; done < text.size(); done += kMostAtOnce) {
    const auto count = static_cast<int>(std::min(kMostAtOnce, text.size() - done));
    MPI_Bcast(text.data() + done, count, MPI_CHAR, 0, comm());
  }
  return text;
}

double World::synchronised_time() const {
  MPI_Barrier(comm());
  return MPI_Wtime();
}

}  // namespace bench
