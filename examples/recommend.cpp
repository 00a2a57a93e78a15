// Trains the embedding of a recommendation model, which grows with the items that turn up: a few of
// them all the time, most of them seldom. A save stores what changed since the one before. Killed at
// any moment and started again, on any number of ranks, it goes on where it was:
//   mpirun -n 4 recommend 300 230; mpirun -n 3 recommend 300     (the first one kills itself at 230)
#include <cairn/cairn.hpp>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>

static constexpr std::size_t kWidth = 16;
static constexpr int kClicksInAStep = 2000;
static constexpr double kItems = 1e6;

/// An item's place in the model, and how often it was clicked.
using Row = std::array<float, kWidth + 1>;

struct Model {
  cairn::MapParameter items = cairn::MapParameter::of<std::int64_t, float>({kWidth + 1});
  std::array<float, kWidth> taste{};
  std::uint64_t clicks = 0;
  std::uint64_t step = 0;
};

static double sum_of(double mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return mine;
}

/// How much the world likes an item.
static float liking(std::int64_t item) { return std::sin(static_cast<float>(item % 1000)); }

/// One click: towards what the item should have given. Returns the squared error.
static float learn(Model& model, std::int64_t item) {
  Row row;
  model.items.get(item, std::span(row));
  float guess = 0;
  for (std::size_t i = 0; i < kWidth; ++i) guess += row[i] * model.taste[i];
  const float error = liking(item) - guess;
  for (std::size_t i = 0; i < kWidth; ++i) row[i] += 0.3F / kWidth * error * model.taste[i];
  row[kWidth] += 1;
  model.items.put(item, std::span<const float>(row));
  return error * error;
}

/// All ranks see the same clicks; each learns those on items that it owns.
static double train(Model& model, int rank, int ranks) {
  std::mt19937_64 random(model.step);
  std::uniform_real_distribution<double> share(0, 1);
  double loss = 0;
  for (int n = 0; n < kClicksInAStep; ++n) {
    const auto item = static_cast<std::int64_t>(std::pow(kItems, share(random)));  // Zipf's law
    if (model.items.owner(item, ranks) == rank) loss += learn(model, item);
  }
  model.clicks += kClicksInAStep;
  return sum_of(loss) / kClicksInAStep;
}

/// Whether every click is somewhere in the embedding: of an item, how often, is in its row.
static bool is_whole(const Model& model) {
  double clicks = 0;
  model.items.for_each<float>([&](std::int64_t, std::span<const float> row) {
    clicks += row[kWidth];
  });
  return sum_of(clicks) == static_cast<double>(model.clicks);
}

static bool run(int rank, int ranks, std::uint64_t last, std::uint64_t dies_at) {
  Model model;
  for (std::size_t i = 0; i < kWidth; ++i) model.taste[i] = i % 2 == 0 ? 1.0F : -1.0F;
  cairn::State state;
  state.add("items", model.items)
      .add("taste", std::span(model.taste), cairn::whole({kWidth}))
      .add("clicks", model.clicks)
      .add("step", model.step);
  cairn::ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", "checkpoints",
                                    {.save_checkpoint_steps = 20, .incremental = true});
  if (const auto restored = checkpoint.restore(state); restored && rank == 0) {
    std::printf("resumed at step %ju on %d ranks, from %s and %ju before it\n", model.step, ranks,
                restored->path.filename().c_str(), restored->increments);
  }
  bool whole = is_whole(model);
  double loss = 0;
  while (whole && model.step < last) {
    ++model.step;
    loss = train(model, rank, ranks);
    if (model.step == dies_at && rank == ranks - 1) std::raise(SIGKILL);
    if (checkpoint.step_end(model.step, state) == cairn::Next::stop) break;
  }
  checkpoint.end(model.step, state);
  whole = whole && is_whole(model);
  const double items = sum_of(static_cast<double>(model.items.size()));
  if (rank == 0) {
    std::printf("step %ju: %.0f items, loss %.3f: %s\n", model.step, items, loss,
                whole ? "no click was lost" : "clicks were lost");
  }
  return whole;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const std::uint64_t last = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 300;
  const std::uint64_t dies_at = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const bool whole = run(rank, ranks, last, dies_at);
  MPI_Finalize();
  return whole ? 0 : 1;
}
