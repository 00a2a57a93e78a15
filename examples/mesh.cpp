// Layers over pipeline stages, rows of a layer over tensor parallel ranks, and the optimizer's
// moments over data parallel ranks too. The checkpoint knows nothing of that: every other
// arrangement of the four ranks loads it.
//   mpirun -n 4 mesh
#include <cairn/cairn.hpp>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

static constexpr int kLayers = 4;
static const cairn::Shape kShape{64, 48};

struct Layout {
  int stages, data, tensor;  // their product is the number of ranks
};

struct Tensor {
  std::string name;
  cairn::Slice slice;
  float first;  // element i of the global tensor is first + i
  std::vector<float> values = std::vector<float>(cairn::element_count(slice.extent));

  [[nodiscard]] float right(std::size_t i) const {  // a slice's rows are whole
    return first + static_cast<float>(slice.offset[0] * slice.global[1] + i);
  }
};

/// What `rank` holds of each layer of its stage: some rows of the weight, fewer of the moment.
static std::vector<Tensor> held_by(int rank, const Layout& layout) {
  const int stage_ranks = layout.data * layout.tensor;
  const int stage = rank / stage_ranks;
  const cairn::Mesh mesh{
      .device_matrix = {std::uint64_t(layout.data), std::uint64_t(layout.tensor)},
      .first_rank = stage * stage_ranks};
  // Rows along the last dimension of the mesh; columns whole. Ranks that differ in the other, data,
  // are replicas, and share out the moment: each takes a part of its rows.
  const std::vector<int> map{0, -1};
  const cairn::OptimizerShard among_replicas{.step = layout.tensor, .size = layout.data};

  std::vector<Tensor> tensors;
  for (int layer = stage; layer < kLayers; layer += layout.stages) {
    const std::string name = "layer" + std::to_string(layer);
    const auto first = static_cast<float>(layer * 10000);
    tensors.push_back({name + "/weight", place(kShape, mesh, map, rank), first});
    tensors.push_back({name + "/moment", place(kShape, mesh, map, rank, among_replicas), -first});
  }
  return tensors;
}

static cairn::State state_of(std::vector<Tensor>& tensors) {
  cairn::State state;
  for (Tensor& t : tensors) state.add(t.name, std::span(t.values), t.slice);
  return state;
}

static void save_as(const Layout& layout, int rank) {
  std::vector<Tensor> tensors = held_by(rank, layout);
  for (Tensor& t : tensors)
    for (std::size_t i = 0; i < t.values.size(); ++i) t.values[i] = t.right(i);
  cairn::save(MPI_COMM_WORLD, "mesh.h5", state_of(tensors));
}

static bool loads_as(const Layout& layout, int rank) {
  std::vector<Tensor> tensors = held_by(rank, layout);
  cairn::State state = state_of(tensors);
  cairn::load(MPI_COMM_WORLD, "mesh.h5", state);

  int wrong = 0;
  for (const Tensor& t : tensors)
    for (std::size_t i = 0; i < t.values.size(); ++i) wrong += t.values[i] == t.right(i) ? 0 : 1;
  MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (rank == 0) {
    std::printf("loaded as %d stages x %d data x %d tensor: %d values wrong\n", layout.stages,
                layout.data, layout.tensor, wrong);
  }
  return wrong == 0;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks != 4) MPI_Abort(MPI_COMM_WORLD, 2);
  save_as({.stages = 1, .data = 2, .tensor = 2}, rank);
  bool right = true;
  for (const Layout& layout : {Layout{2, 1, 2}, Layout{2, 2, 1}, Layout{1, 4, 1}, Layout{4, 1, 1}})
    right = loads_as(layout, rank) && right;
  MPI_Finalize();
  return right ? 0 : 1;
}
