#include "coord/hosts.hpp"

#include <array>
#include <set>
#include <string>

namespace cairn::coord {

std::uint64_t count_hosts(const Comm& comm) {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  WireWriter writer;
  writer.put_text({name.data(), static_cast<std::size_t>(length)});
  std::set<std::string> hosts;
  for (const Bytes& told : comm.gather(writer.take())) hosts.insert(WireReader(told).get_text());
  return hosts.size();
}

bool takes_any_thread(const Comm& comm) {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  return all_of<std::int32_t>(comm, level == MPI_THREAD_MULTIPLE ? 1 : 0, MPI_MIN) == 1;
}

}  // namespace cairn::coord
