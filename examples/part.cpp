// Reads a hundred rows of one tensor out of a checkpoint of many: no rank needs the whole model,
// and nothing is read but the blocks where those rows lie.
//   mpirun -n 2 part
#include <cairn/cairn.hpp>
#include <cstdio>
#include <span>
#include <vector>

static constexpr std::uint64_t kWords = 50000, kWidth = 64;

static float value_at(std::uint64_t word, std::uint64_t i) {
  return static_cast<float>(word * 100 + i);
}

/// Collective. A model to read from, written by all ranks.
static cairn::SaveReport save_model(int rank, int ranks) {
  const cairn::Slice words = cairn::split({kWords, kWidth}, /*dim*/ 0, rank, ranks);
  std::vector<float> embedding;
  for (std::uint64_t w = 0; w < words.extent[0]; ++w)
    for (std::uint64_t i = 0; i < kWidth; ++i)
      embedding.push_back(value_at(words.offset[0] + w, i));
  const std::vector<float> head(embedding.size(), 1.0F);
  double rate = 0.001;

  cairn::State state;
  state.add("embedding", std::span(embedding), words)
      .add("head", std::span(head), words)
      .add("rate", rate);
  return cairn::save(MPI_COMM_WORLD, "part.h5", state);
}

/// Collective over `comm`, which may be one rank alone.
static bool read_rows(MPI_Comm comm, std::uint64_t first, std::uint64_t file_bytes) {
  const cairn::Slice rows{
      .global = {kWords, kWidth}, .offset = {first, 0}, .extent = {100, kWidth}};
  std::vector<float> values(cairn::element_count(rows.extent));
  cairn::State state;
  state.add("embedding", std::span(values), rows);
  // strict would complain of "head" and "rate", which nobody asks for.
  const cairn::LoadReport report = cairn::load(comm, "part.h5", state, {.strict = false});

  std::printf("rows %ju to %ju: %ju of %ju bytes read; not asked for:", first, first + 100,
              report.bytes_read, file_bytes);
  for (const std::string& name : report.extra) std::printf(" %s", name.c_str());
  std::printf("\n");
  for (std::uint64_t i = 0; i < values.size(); ++i)
    if (values[i] != value_at(first + i / kWidth, i % kWidth)) return false;
  return report.missing.empty() && report.extra.size() == 2 && report.bytes_read < file_bytes / 2;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const cairn::SaveReport saved = save_model(rank, ranks);
  const std::uint64_t first = 20000 + 10000 * static_cast<std::uint64_t>(rank % 3);
  const bool right = read_rows(MPI_COMM_SELF, first, saved.file_bytes);
  MPI_Finalize();
  return right ? 0 : 1;
}
