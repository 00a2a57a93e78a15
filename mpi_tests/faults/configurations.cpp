#include "faults/configurations.hpp"

#include <array>
#include <span>
#include <stdexcept>

#include "storage/posix_file.hpp"
#include "storage/process_identity.hpp"

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "run";

CheckpointSettings plain() {
  CheckpointSettings settings{.keep_checkpoint_max = 3};
  settings.write.block_bytes = std::size_t{64} << 10;
  settings.write.deadline = std::chrono::seconds{30};
  return settings;
}

template <class Change>
CheckpointSettings plain_but(Change&& change) {
  CheckpointSettings settings = plain();
  change(settings);
  return settings;
}

CheckpointSettings shards() {
  return plain_but([](CheckpointSettings& it) { it.integrated_save = false; });
}
CheckpointSettings crc() {
  return plain_but([](CheckpointSettings& it) { it.crc_check = true; });
}
CheckpointSettings sealed() {
  return plain_but([](CheckpointSettings& it) {
    it.enc_key = Key(std::span<const std::byte>(std::vector(32, std::byte{0x42})));
  });
}
CheckpointSettings increments() {
  return plain_but([](CheckpointSettings& it) { it.incremental = true; });
}
CheckpointSettings one_only(CheckpointSettings settings) {
  settings.keep_checkpoint_max = 1;
  return settings;
}
CheckpointSettings in_the_background(CheckpointSettings settings) {
  settings.async_save = true;
  return settings;
}

template <class Call>
std::optional<Error> error_of(Call&& call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

std::uint64_t step_of(std::int64_t version) { return static_cast<std::uint64_t>(version); }

/// What dead jobs leave: files half written, deletions that did not end, locks.
void leave_remains(const fs::path& directory) {
  const auto put = [](const fs::path& path, std::span<const std::byte> bytes) {
    storage::PosixFile::create(path).write(bytes, 0);
  };
  const std::array<std::byte, 100> half{};
  policy::TemporaryName dead = storage::process_identity(RunId{});
  dead.pid = 999'999'999;  // Linux numbers no process so
  for (const char* name : {"run-1_2.h5", "run-1_2.shards"}) {
    dead.final_name = name;
    for (const bool trash : {false, true}) {
      dead.trash = trash;
      const fs::path path = directory / policy::format(dead);
      if (path.extension() == ".shards") {
        fs::create_directory(path);
        put(path / "index.h5", half);
        put(path / "shard-0of2.h5", half);
      } else {
        put(path, half);
      }
    }
  }
  put(directory / ".lock-run", {});
  put(directory / ".lock-run_7", half);
  // A job that died between publishing and deleting.
  const auto file = storage::PosixFile::open_for_reading(directory / "run-1_1.h5");
  std::vector<std::byte> bytes(file.size());
  file.read(bytes, 0);
  put(directory / "run-1_1.h5.replaced", bytes);
}

}  // namespace

std::vector<Configuration> configurations() {
  const auto all_with = [](std::string name, Act act, const CheckpointSettings& settings) {
    return Configuration{std::move(name), act, settings, settings};
  };
  return {
      all_with("integrated", Act::save, plain()),
      all_with("crc", Act::save, crc()),
      all_with("sealed", Act::save, sealed()),
      all_with("shards", Act::save, shards()),
      all_with("async", Act::save_async, in_the_background(plain())),
      all_with("async_shards", Act::save_async, in_the_background(shards())),
      all_with("replace", Act::replace, plain()),
      all_with("replace_shards", Act::replace, shards()),
      {"replace_other_kind", Act::replace, plain(), shards()},
      all_with("delete", Act::save, one_only(plain())),
      all_with("delete_shards", Act::save, one_only(shards())),
      all_with("first", Act::first_save, plain()),
      all_with("first_shards", Act::first_save, shards()),
      {"increment", Act::save, increments(), increments(), true},
      // The increment holds as much as what it is on, so the next one is full, and the chain goes.
      {"delete_chain", Act::save, one_only(increments()), one_only(increments()), true, true},
      all_with("sweep", Act::sweep, plain()),
      all_with("restore", Act::restore, plain()),
      all_with("restore_crc", Act::restore, crc()),
      all_with("restore_sealed", Act::restore, sealed()),
      all_with("restore_shards", Act::restore, shards()),
  };
}

Configuration lone_shards() { return {"lone", Act::save, crc(), crc()}; }

std::int64_t oldest_allowed(const Configuration& what) {
  if (what.act == Act::first_save) return 0;
  return what.act == Act::restore ? kNew : kOld;
}

void leave_old_state(MPI_Comm comm, const Configuration& what, const fs::path& directory,
                     const std::function<void(std::int64_t)>& begins,
                     const std::function<void(std::int64_t)>& reports) {
  if (what.act == Act::first_save) return;
  Model model(comm, what.has_map);
  {
    ModelCheckpoint checkpoint(comm, kPrefix, directory, what.old_settings);
    if (what.old_is_chain) {
      model.become(kOld);
      begins(kOld);
      checkpoint.save(step_of(kOld) - 1, model.state());
    }
    for (std::int64_t version = kOld; version <= oldest_allowed(what); ++version) {
      model.become(version);
      begins(version);
      checkpoint.save(step_of(version), model.state());
      reports(version);
    }
  }
  MPI_Barrier(comm);
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  if (what.act == Act::sweep && rank == 0) leave_remains(directory);
  MPI_Barrier(comm);
}

Program::Program(MPI_Comm comm, const Configuration& what, const fs::path& directory,
                 Listener* listener)
    : what_(what), model_(comm, what.has_map) {
  CheckpointSettings settings = what.settings;
  settings.listener = listener;
  checkpoint_.emplace(comm, kPrefix, directory, std::move(settings));
  if (what.act != Act::restore && what.act != Act::sweep && what.act != Act::first_save) {
    checkpoint_->restore(model_.state());
  }
}

std::optional<Error> Program::act() {
  if (what_.act == Act::restore || what_.act == Act::sweep) {
    model_.spoil();
    return error_of([&] { checkpoint_->restore(model_.state()); });
  }
  const std::uint64_t step = what_.act == Act::replace ? step_of(kOld) : step_of(kNew);
  model_.become(kNew);
  if (what_.act != Act::save_async) {
    return error_of([&] {
      checkpoint_->save(step, model_.state());
      static_cast<void>(checkpoint_->wait());  // what retention deletes is gone then
    });
  }
  return error_of([&] {
    static_cast<void>(checkpoint_->step_end(step, model_.state()));
    checkpoint_->before_update();
    model_.spoil();  // as a program that trains on
    static_cast<void>(checkpoint_->wait());
  });
}

std::optional<Error> Program::save_later() {
  model_.become(kLater);
  return error_of([&] { checkpoint_->save(step_of(kLater), model_.state()); });
}

Leaver::Leaver(MPI_Comm comm, const Configuration& what, const fs::path& directory,
               std::uint64_t step, Listener* listener)
    : model_(comm, what.has_map) {
  CheckpointSettings settings = what.settings;
  settings.listener = listener;
  settings.exception_save = true;
  settings.save_checkpoint_steps = 1000;
  checkpoint_.emplace(comm, kPrefix, directory, std::move(settings));
  checkpoint_->restore(model_.state());
  for (std::uint64_t next = step_of(kNew); next <= step; ++next) {
    checkpoint_->before_update();
    model_.become(static_cast<std::int64_t>(next));
    if (checkpoint_->step_end(next, model_.state()) != Next::go_on) {
      throw std::logic_error("the training loop ended before its time");
    }
  }
}

Found find(MPI_Comm comm, const Configuration& what, const fs::path& directory, Model& model) {
  Found found;
  model.spoil();
  const auto error = error_of([&] {
    ModelCheckpoint checkpoint(comm, kPrefix, directory, what.settings);
    const auto restored = checkpoint.restore(model.state());
    if (!restored) return;
    found.version = model.version();
    for (const Skipped& skipped : restored->skipped) {
      if (skipped.saved_alone) continue;
      found.problem += "passed over " + skipped.path.string() + ": " + skipped.reason + "; ";
    }
    if (const std::size_t wrong = model.wrong(); wrong > 0) {
      found.problem += std::to_string(wrong) + " elements are not those of version " +
                       std::to_string(found.version) + "; ";
    }
  });
  if (error) found.problem += error->what();
  return found;
}

}  // namespace cairn::faults
