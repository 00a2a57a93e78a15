#pragma once

namespace bench {

/// Whether the program was called as `cairn-bench soak …`: then MPI is not for this process, which
/// starts jobs of its own.
bool is_soak(int argc, char** argv);
/// All of it; the exit code.
int run_soak(int argc, char** argv);

}  // namespace bench
