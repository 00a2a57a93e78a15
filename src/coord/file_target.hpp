#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "coord/collective_file.hpp"
#include "coord/save_plan.hpp"
#include "coord/staging.hpp"
#include "coord/target.hpp"

namespace cairn::coord {

/// One file of full tensors that all ranks write.
class FileTarget final : public Target {
 public:
  FileTarget(const Comm& comm, const Settings& settings, const SaveRequest& request,
             const SavePlan& plan)
      : Target(comm, settings, request), plan_(plan) {}

  void reserve() override;
  [[nodiscard]] std::vector<SliceAccess> slices(
      std::span<const State::Entry> entries) const override;
  storage::BlockSink& open_sink() override;
  void finish_own() override;
  [[nodiscard]] std::optional<Error> sync(std::optional<Error> error) override;
  void complete() override;

  /// (2) with the writer hdf5. Collective. Returns this rank's error.
  [[nodiscard]] std::optional<Error> write_by_reference(const State& state, Staging& staging);

 private:
  void check_writer() const;
  void open();
  [[nodiscard]] bool needs_marks() const;
  void gather_marks();
  void hold_again() const;

  const SavePlan& plan_;
  std::unique_ptr<CollectiveFile> collective_;  ///< with the writer mpiio
  bool is_complete_ = false;  ///< rank 0: head and tail are written
};

}  // namespace cairn::coord
