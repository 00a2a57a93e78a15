#pragma once

#include "cairn/options.hpp"
#include "policy/names.hpp"

namespace cairn::storage {

/// This process, as its temporary names carry it: run, host, process, batch job. `final_name` is
/// left empty.
policy::TemporaryName process_identity(const RunId& run_id);

}  // namespace cairn::storage
