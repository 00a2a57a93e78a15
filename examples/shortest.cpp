// The shortest complete program. Started again, on any number of ranks, it goes on where it was:
//   mpirun -n 4 shortest && mpirun -n 3 shortest
#include <cairn/cairn.hpp>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

static void train(std::span<float> weight) {
  for (float& w : weight) w += 0.01F * (1 - w);
}

static void run(int rank, int ranks) {
  const cairn::Slice rows = cairn::split({4096, 1024}, /*dim*/ 0, rank, ranks);
  std::vector<float> weight(cairn::element_count(rows.extent));
  std::uint64_t step = 0;

  cairn::State state;
  state.add("weight", std::span(weight), rows).add("step", step);

  cairn::ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", "checkpoints",
                                    {.save_checkpoint_steps = 100});
  checkpoint.restore(state);
  const std::uint64_t last = step + 250;
  while (step < last) {
    train(weight);
    if (checkpoint.step_end(++step, state) == cairn::Next::stop) break;
  }
  checkpoint.end(step, state);
  if (rank == 0) std::printf("step %ju: %s\n", step, checkpoint.latest()->c_str());
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  run(rank, ranks);
  MPI_Finalize();
}
