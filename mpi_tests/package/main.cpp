#include <cairn/cairn.hpp>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const cairn::Slice slice = cairn::split({100, 10}, 0, rank, ranks);
  std::vector<float> values(cairn::element_count(slice.extent), 3.0F);
  cairn::State state;
  state.add("values", std::span(values), slice);
  bool right = true;
  {
    cairn::ModelCheckpoint checkpoint(MPI_COMM_WORLD, "stranger", argv[1],
                                      cairn::CheckpointConfig::from_json("{\"crc_check\": true}"));
    checkpoint.save(1, state);
    values.assign(values.size(), 0.0F);
    right = checkpoint.restore(state).has_value();
    for (const float value : values) right = right && value == 3.0F;
  }
  if (rank == 0) std::printf("%s\n", right ? "package: ok" : "package: wrong");
  MPI_Finalize();
  return right ? 0 : 1;
}
