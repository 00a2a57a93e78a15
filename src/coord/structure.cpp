#include "coord/structure.hpp"

#include "codec/sha256.hpp"
#include "coord/save_plan.hpp"
#include "storage/image.hpp"

namespace cairn::coord {

storage::StructureDigest structure_of(std::span<const TensorInfo> tensors) {
  storage::StructureDigest sum{};
  for (const TensorInfo& tensor : tensors) {
    WireWriter writer;
    plan::put_tensor(writer, tensor);
    const codec::Digest digest = codec::sha256(writer.take());
    WireReader reader(digest);
    for (std::uint64_t& part : sum) part += reader.get<std::uint64_t>();
  }
  return sum;
}

Structure agree_on_structure(const Comm& comm, std::span<const plan::Claim> claims,
                             std::uint64_t largest_block) {
  std::uint64_t bytes = 0;
  for (const plan::Claim& claim : claims) {
    bytes += element_count(claim.box.extent) * size_of(claim.tensor.dtype);
  }
  Structure structure;
  structure.digest = structure_of(bring_home(comm, claims).home.tensors());
  comm.allreduce(std::span<std::uint64_t>(structure.digest), MPI_SUM);
  const auto most = all_of<std::uint64_t>(comm, bytes, MPI_MAX);
  structure.block_bytes = storage::choose_block(most, largest_block);
  return structure;
}

}  // namespace cairn::coord
