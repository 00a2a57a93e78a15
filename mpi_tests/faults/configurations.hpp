// What the fault bench does to Cairn: saves, deletions, restores, in all their kinds.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cairn/cairn.hpp"
#include "faults/model.hpp"

namespace cairn::faults {

enum class Act : std::uint8_t {
  save,         ///< the step after the one that is there
  replace,      ///< the step that is there, with other values
  save_async,   ///< as a training loop does
  first_save,   ///< of a new run in a directory that is not there yet
  restore,      ///< of the newest of two
  sweep,        ///< a restore among the remains of dead jobs
};

struct Configuration {
  std::string name;
  Act act = Act::save;
  CheckpointSettings settings{};
  CheckpointSettings old_settings{};  ///< of the run before
  bool has_map = false;               ///< and with `incremental`, increments
  bool old_is_chain = false;          ///< the old state: a full checkpoint and an increment
};

/// Of all kinds. Blocks are small, so that there are many.
std::vector<Configuration> configurations();
/// What ranks save that leave the training loop alone; not by the act, of which all ranks are part.
Configuration lone_shards();

/// Versions of the model, each with what the disk is to hold of it.
inline constexpr std::int64_t kOld = 1;
inline constexpr std::int64_t kNew = 2;
inline constexpr std::int64_t kLater = 3;

/// The old state: what an earlier run left. Collective over `comm`.
void leave_old_state(MPI_Comm comm, const Configuration& what,
                     const std::filesystem::path& directory,
                     const std::function<void(std::int64_t begun)>& begins,
                     const std::function<void(std::int64_t saved)>& reports);

/// The version that must be found after the old state was left; 0: none.
std::int64_t oldest_allowed(const Configuration& what);

/// A run of a program that goes through the act of a configuration. All its calls are collective.
class Program {
 public:
  /// Not yet armed: constructs and, where it saves, restores what is there.
  Program(MPI_Comm comm, const Configuration& what, const std::filesystem::path& directory,
      Listener* listener = nullptr);

  /// What the fault is about. Its error, if it had one.
  std::optional<Error> act();
  /// One more save, after all went well again.
  std::optional<Error> save_later();

  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] const ModelCheckpoint& checkpoint() const { return *checkpoint_; }

 private:
  const Configuration& what_;
  Model model_;
  std::optional<ModelCheckpoint> checkpoint_;
};

/// A rank of a program that leaves the training loop after this step, and others after another one.
class Leaver {
 public:
  /// Collective: restores what is there and trains. The listener must outlive it.
  Leaver(MPI_Comm comm, const Configuration& what, const std::filesystem::path& directory,
         std::uint64_t step, Listener* listener);

  void leave() { checkpoint_->leave(model_.state()); }

 private:
  Model model_;
  std::optional<ModelCheckpoint> checkpoint_;
};

/// What a later program finds.
struct Found {
  std::int64_t version = 0;  ///< 0: nothing is there
  std::string problem;       ///< empty: whole, and nothing was passed over but what is no state
};

/// Collective over `comm`: restores as a new program does.
Found find(MPI_Comm comm, const Configuration& what, const std::filesystem::path& directory,
           Model& model);

}  // namespace cairn::faults
