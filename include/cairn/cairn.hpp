#pragma once

#include "cairn/append_info.hpp"      // IWYU pragma: export
#include "cairn/config.hpp"           // IWYU pragma: export
#include "cairn/dtype.hpp"            // IWYU pragma: export
#include "cairn/error.hpp"            // IWYU pragma: export
#include "cairn/inspect.hpp"          // IWYU pragma: export
#include "cairn/key.hpp"              // IWYU pragma: export
#include "cairn/listener.hpp"         // IWYU pragma: export
#include "cairn/log.hpp"              // IWYU pragma: export
#include "cairn/model_checkpoint.hpp" // IWYU pragma: export
#include "cairn/options.hpp"          // IWYU pragma: export
#include "cairn/save.hpp"             // IWYU pragma: export
#include "cairn/slice.hpp"            // IWYU pragma: export
#include "cairn/source.hpp"           // IWYU pragma: export
#include "cairn/state.hpp"            // IWYU pragma: export

/// All of Cairn. Start with `State` (what a rank holds) and `ModelCheckpoint` (when to save it);
/// `save` and `load` are the same without a policy.
///
/// Functions marked **Collective** are called by every rank of the communicator, in the same order;
/// those marked **Local** by whom one likes. Plain values and their members are Local. Every error
/// is an `Error`.
namespace cairn {}
