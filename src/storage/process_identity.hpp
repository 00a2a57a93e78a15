#pragma once

#include "cairn/options.hpp"
#include "policy/names.hpp"

namespace cairn::storage {

/// This process, as its temporary names carry it: run, host, process, batch job. `job` is the
/// id, and behind a '.' the step (Slurm) or the element of an array (LSF, Grid Engine), where there
/// is one: two steps of one allocation live at the same time. `final_name` is left empty.
policy::TemporaryName process_identity(const RunId& run_id);

}  // namespace cairn::storage
