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

std::string variable(const char* name) {
  const char* const text = name == nullptr ? nullptr : std::getenv(name);
  return text == nullptr ? "" : text;
}

/// A variable that holds the id of the job, and one that tells apart what runs at the same time
/// under that id: steps, or the elements of an array.
struct BatchSystem {
  const char* job;
  const char* part;
};
constexpr std::array kBatchSystems{
    BatchSystem{"SLURM_JOB_ID", "SLURM_STEP_ID"}, BatchSystem{"PBS_JOBID", nullptr},
    BatchSystem{"LSB_JOBID", "LSB_JOBINDEX"}, BatchSystem{"JOB_ID", "SGE_TASK_ID"}};

std::string batch_job() {
  for (const BatchSystem& system : kBatchSystems) {
    const std::string job = variable(system.job);
    if (job.empty()) continue;
    const std::string part = variable(system.part);
    return part.empty() ? job : job + "." + part;
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
