// Trains a small language model on a text, tensor parallel and data parallel, and keeps its whole
// state in checkpoints: kill it at any time, or stop it by SIGUSR1, and start it again on any number of ranks.
//
//   mpirun -n 4 train_text --text book.txt --dir checkpoints --steps 1000
//
// The story is `run` below; the network is in model.hpp and model.cpp.
#include <mpi.h>

#include <cairn/cairn.hpp>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "model.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "ranks.hpp"
#include "text.hpp"

namespace {

constexpr std::size_t kBatch = 128;  // windows of a step, over all ranks
constexpr std::size_t kWindow = Model::kContext + 1;
constexpr std::size_t kSample = 240;
constexpr std::size_t kLongestText = std::size_t{1} << 30U;

/// Collective. Rank 0 reads, so that all ranks have the same bytes or fail together.
std::string read_text(const std::string& path, int rank) {
  std::ostringstream bytes;
  if (rank == 0) bytes << std::ifstream(path, std::ios::binary).rdbuf();
  if (!told_by_rank_0(bytes.good())) {
    throw std::invalid_argument("cannot read the text '" + path + "', or it is empty");
  }
  std::string text = std::move(bytes).str();
  text.resize(told_by_rank_0(text.size()));
  if (text.size() < kBatch + kWindow || text.size() > kLongestText) {
    throw std::invalid_argument("the text '" + path + "' has " + std::to_string(text.size()) +
                                " bytes: expected " + std::to_string(kBatch + kWindow) + " to " +
                                std::to_string(kLongestText));
  }
  MPI_Bcast(text.data(), static_cast<int>(text.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
  return text;
}

void run(const Options& options) {
  const Ranks ranks;
  Reader reader{read_text(options.text, ranks.rank)};
  Progress progress(options, ranks.rank);
  Model model(ranks);
  std::uint64_t step = 0;

  // The whole state: what is not in here starts anew in every job.
  cairn::State state;
  state.add("step", step)
      .add("reader/position", reader.position)
      .add("reader/random", reader.random.state);
  model.add_to(state);

  cairn::LogListener log;
  std::optional<cairn::JsonLinesListener> json;
  if (!options.save_log.empty()) json.emplace(options.save_log);
  cairn::Listeners listeners({&log, json ? &*json : nullptr, &progress});
  cairn::ModelCheckpoint checkpoint(
      MPI_COMM_WORLD, "text", options.directory,
      {.save_checkpoint_steps = static_cast<std::int64_t>(options.save_every),
       .keep_checkpoint_max = 3,
       .async_save = options.asynchronous,
       .exception_save = true,  // a signal, as SIGUSR1: all ranks save and stop
       .listener = &listeners});
  progress.start(ranks.mesh, reader.text.size(), checkpoint.restore(state));

  while (step < options.steps) {
    const auto windows = reader.next_batch(kBatch, kWindow);
    const double loss = model.train(windows, ++step);
    const cairn::Next next = checkpoint.step_end(step, state);
    progress.step(step, loss, windows.size());
    if (next == cairn::Next::stop) break;
  }
  checkpoint.end(step, state);
  const std::string start = reader.text.substr(reader.text.size() / 2, Model::kContext);
  progress.end(checkpoint.latest(), start, model.write_on(start, kSample));
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;  // with less than MPI_THREAD_MULTIPLE, asynchronous saves do more in step_end
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  int status = 0;
  try {
    run(parse(argc, argv));
  } catch (const std::invalid_argument& error) {  // on every rank, as is the next
    if (rank == 0) std::fprintf(stderr, "train_text: %s\n%s", error.what(), kUsage);
    status = 2;
  } catch (const cairn::Error& error) {
    if (rank == 0) std::fprintf(stderr, "train_text: %s\n", error.what());
    status = 1;
  }
  MPI_Finalize();
  return status;
}
