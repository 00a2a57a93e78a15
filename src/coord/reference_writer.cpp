#include "coord/reference_writer.hpp"

#include <algorithm>
#include <map>

#include "base/slice_access.hpp"
#include "coord/together.hpp"
#include "plan/claim.hpp"
#include "storage/dataset_names.hpp"
#include "storage/hdf5_writer.hpp"

namespace cairn::coord {
namespace {

/// Part of a slice whose elements are neighbours in the slice's own row-major order.
struct Part {
  std::uint32_t entry;
  Shape offset;  ///< in the tensor
  Shape extent;
  std::uint64_t first;  ///< local byte
  std::uint64_t last;
};

/// Cuts a slice into parts of at most `limit` bytes: one index in the outer dimensions, a range in
/// one, all of the inner ones.
void cut_slice(const State::Entry& entry, std::uint32_t place, std::uint64_t limit,
               std::vector<Part>& parts) {
  const Shape& extent = entry.slice.extent;
  std::uint64_t inner = size_of(entry.source.dtype());
  std::size_t cut = extent.size();  // parts are ranges along dimension cut - 1
  while (cut > 0 && inner * extent[cut - 1] <= limit) inner *= extent[--cut];
  Part part{place, entry.slice.offset, extent, 0, 0};
  for (std::size_t d = 0; d < cut; ++d) part.extent[d] = 1;
  if (cut == 0) {
    part.last = inner;
    parts.push_back(std::move(part));
    return;
  }
  const std::size_t dim = cut - 1;
  const std::uint64_t most = std::max<std::uint64_t>(limit / inner, 1);
  Shape index(cut, 0);
  for (;;) {
    part.extent[dim] = std::min(most, extent[dim] - index[dim]);
    for (std::size_t d = 0; d < cut; ++d) part.offset[d] = entry.slice.offset[d] + index[d];
    part.first = part.last;
    part.last += part.extent[dim] * inner;
    parts.push_back(part);
    index[dim] += part.extent[dim];
    for (std::size_t d = dim; index[d] == extent[d]; --d) {
      if (d == 0) return;
      index[d] = 0;
      ++index[d - 1];
    }
  }
}

/// The entries that this rank writes: of replicas the one whose share has the slice's first byte.
bool writes(const plan::Holding& holding, std::uint64_t block_bytes) {
  const auto first = static_cast<std::uint64_t>(holding.image.base) / block_bytes;
  return holding.blocks.front().first == first;
}

std::vector<TensorInfo> share_tensors(const Comm& comm, const SavePlan& plan) {
  WireWriter writer;
  for (const TensorInfo& tensor : plan.tensors) plan::put_tensor(writer, tensor);
  const Bytes told = comm.broadcast(writer.take());
  std::vector<TensorInfo> tensors;
  for (WireReader reader(told); !reader.done();) tensors.push_back(plan::get_tensor(reader));
  return tensors;
}

}  // namespace

std::optional<Error> write_by_reference(const Comm& comm, const SavePlan& plan, const State& state,
                                        const std::filesystem::path& path, Staging& staging) {
  const std::vector<TensorInfo> tensors = share_tensors(comm, plan);
  std::vector<std::string> paths;
  std::vector<std::vector<Part>> parts(tensors.size());
  run_together(comm, [&] {
    paths = storage::dataset_paths(tensors);
    std::map<TensorKey, std::size_t> place;
    for (std::size_t t = 0; t < tensors.size(); ++t) place.emplace(tensors[t].key(), t);
    for (const plan::Holding& holding : plan.routes.mine) {
      if (!writes(holding, plan.routes.block_bytes)) continue;
      const State::Entry& entry = state.entries()[holding.entry];
      cut_slice(entry, holding.entry, staging.block_bytes(),
                parts[place.at({entry.family, entry.name})]);
    }
  });
  std::vector<std::uint64_t> rounds;
  for (const auto& of_tensor : parts) rounds.push_back(of_tensor.size());
  comm.allreduce(std::span<std::uint64_t>(rounds), MPI_MAX);

  // A rank that fails goes on with the calls that the others make too.
  std::optional<Error> error;
  const auto keep = [&](std::optional<Error> failed) {
    if (failed && !error) error = std::move(failed);
  };
  storage::Hdf5Writer writer(path, comm.handle());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (std::size_t round = 0; round < rounds[t]; ++round) {
      if (round >= parts[t].size()) {
        keep(attempt([&] { writer.write(paths[t], tensors[t], {}, {}, {}); }));
        continue;
      }
      const Part& part = parts[t][round];
      const std::span<std::byte> packed = staging.slot(0).first(part.last - part.first);
      keep(attempt([&] {
        SliceAccess(state.entries()[part.entry]).read(part.first, part.last, packed.data());
      }));
      keep(attempt([&] {
        writer.write(paths[t], tensors[t], part.offset, part.extent, packed);
      }));
    }
  }
  keep(attempt([&] { writer.finish(); }));
  return error;
}

}  // namespace cairn::coord
