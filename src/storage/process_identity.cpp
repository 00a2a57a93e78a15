#include "storage/process_identity.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace cairn::storage {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::string batch_job() {
  for (const char* variable : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) {
    if (const char* job = std::getenv(variable); job != nullptr && *job != '\0') return job;
  }
  return "";
}

}  // namespace

policy::TemporaryName process_identity(const RunId& run_id) {
  policy::TemporaryName name;
  name.run = policy::to_hex(run_id).substr(0, 16);
  name.host = host_name();
  name.pid = static_cast<std::uint64_t>(::getpid());
  name.job = batch_job();
  return name;
}

}  // namespace cairn::storage
