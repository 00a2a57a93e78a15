#pragma once

#include <filesystem>
#include <memory>

#include "contestant.hpp"
#include "slices.hpp"
#include "workload.hpp"

namespace bench {

/// Whether ranks write each tensor in one collective call, or each its slice when it likes.
enum class Transfer : bool { independent, collective };

/// Not Cairn: what a program does that saves by parallel HDF5. It creates the file with the MPI-IO
/// driver, a dataset of default settings per tensor, writes every rank's slice of each with
/// H5Dwrite, closes the file and has every rank sync it. Nothing is renamed, checked or replaced.
std::unique_ptr<Contestant> make_h5_by_hand(const World& world, const Workload& workload,
                                            const Slices& slices, std::filesystem::path path,
                                            Transfer transfer);

}  // namespace bench
