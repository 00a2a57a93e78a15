#include "cairn/model_checkpoint.hpp"

#include <exception>
#include <utility>

#include "api/run.hpp"

namespace cairn {

ModelCheckpoint::ModelCheckpoint(MPI_Comm comm, Prefix prefix, Directory directory,
                                 CheckpointSettings settings)
    : ModelCheckpoint(comm, std::move(prefix), std::move(directory),
                      CheckpointConfig(std::move(settings))) {}

ModelCheckpoint::ModelCheckpoint(MPI_Comm comm, Prefix prefix, Directory directory,
                                 CheckpointConfig config)
    : run_(std::make_unique<Run>(comm, std::move(prefix), std::move(directory),
                                  std::move(config))) {}

ModelCheckpoint::ModelCheckpoint(ModelCheckpoint&&) noexcept = default;
ModelCheckpoint& ModelCheckpoint::operator=(ModelCheckpoint&&) noexcept = default;
ModelCheckpoint::~ModelCheckpoint() = default;

Next ModelCheckpoint::step_end(std::uint64_t step, const State& state) {
  return run_->step_end(step, state);
}

void ModelCheckpoint::end(std::uint64_t step, const State& state) { run_->end(step, state); }

SaveReport ModelCheckpoint::save(std::uint64_t step, const State& state) {
  return run_->save(step, state);
}

std::optional<Restored> ModelCheckpoint::restore(State& state, const LoadOptions& options,
                                                 std::optional<std::string> series) {
  return run_->restore(state, options, series);
}

void ModelCheckpoint::before_update() { run_->before_update(); }

bool ModelCheckpoint::wait(std::chrono::milliseconds timeout) { return run_->wait(timeout); }

std::optional<SaveReport> ModelCheckpoint::last_report() const { return run_->last_report(); }

std::optional<std::filesystem::path> ModelCheckpoint::latest() const { return run_->latest(); }

const CheckpointConfig& ModelCheckpoint::config() const noexcept { return run_->config(); }

void ModelCheckpoint::leave(const State& state, const std::exception_ptr& by) noexcept {
  run_->leave(state, by);
}

ExceptionGuard::ExceptionGuard(ModelCheckpoint& checkpoint, const State& state) noexcept
    : checkpoint_(checkpoint), state_(state), exceptions_(std::uncaught_exceptions()) {}

ExceptionGuard::~ExceptionGuard() {
  if (std::uncaught_exceptions() > exceptions_) checkpoint_.leave(state_);
}

}  // namespace cairn
