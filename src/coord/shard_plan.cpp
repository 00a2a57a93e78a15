#include "coord/shard_plan.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "coord/save_plan.hpp"
#include "coord/together.hpp"
#include "storage/lone_shard.hpp"

namespace cairn::coord {
namespace {

/// Collective. The boxes that this rank writes, as the homes decided.
std::vector<ShardBox> take_boxes(const Comm& comm, const ClaimsAtHome& at,
                                 std::uint64_t largest_block) {
  const auto shares = at.home.box_shares(comm.size(), largest_block);
  std::vector<Bytes> to;
  for (const auto& of_rank : shares) {
    WireWriter writer;
    for (const auto& boxes : of_rank) {
      writer.put(boxes.size());
      for (const Box& box : boxes) plan::put_box(writer, box);
    }
    to.push_back(writer.take());
  }
  const std::vector<Bytes> from = comm.exchange(std::move(to));
  std::vector<ShardBox> mine;
  for (const auto& [home, of_home] : at.by_home) {
    WireReader reader(from[static_cast<std::size_t>(home)]);
    for (const std::uint32_t i : of_home) {
      for (auto n = reader.get<std::size_t>(); n > 0; --n) mine.push_back({i, plan::get_box(reader)});
    }
  }
  return mine;
}

/// The datasets of this rank's shard, in their order; sorts `boxes` alike.
std::vector<TensorInfo> datasets_of(std::span<const plan::Claim> claims,
                                    std::vector<ShardBox>& boxes) {
  std::vector<std::pair<TensorInfo, ShardBox>> both;
  for (ShardBox& box : boxes) {
    const TensorInfo& tensor = claims[box.entry].tensor;
    TensorInfo dataset = tensor;
    dataset.name = storage::piece_name(tensor.name, box.box);
    dataset.shape = box.box.extent;
    both.emplace_back(std::move(dataset), std::move(box));
  }
  std::ranges::sort(both, {}, [](const auto& pair) { return pair.first.key(); });
  std::vector<TensorInfo> datasets;
  boxes.clear();
  for (auto& [dataset, box] : both) {
    datasets.push_back(std::move(dataset));
    boxes.push_back(std::move(box));
  }
  return datasets;
}

std::uint64_t bytes_of(std::span<const TensorInfo> datasets) {
  return std::accumulate(datasets.begin(), datasets.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const TensorInfo& dataset) {
                           return sum + element_count(dataset.shape) * size_of(dataset.dtype);
                         });
}

std::vector<TensorInfo> parameters_of(std::vector<TensorInfo> tensors) {
  std::erase_if(tensors, [](const TensorInfo& t) { return t.family != Family::parameter; });
  return tensors;
}

plan::Routes own_routes(int rank, int ranks, const storage::ImageLayout& layout,
                        std::span<const TensorInfo> datasets) {
  plan::Ownership ownership{layout.block_bytes, layout.head_bytes / layout.block_bytes, {}};
  ownership.owners.assign(layout.tail_offset / layout.block_bytes - ownership.first_block,
                          rank);
  std::vector<plan::Holding> holdings;
  for (std::uint32_t i = 0; i < datasets.size(); ++i) {
    plan::Holding holding{i,
                          image_place(whole(datasets[i].shape), size_of(datasets[i].dtype),
                                      layout.offsets[i]),
                          {}};
    for_each_block(holding.image, layout.block_bytes,
                   [&](std::uint64_t block, std::uint64_t, std::uint64_t) {
                     plan::append_block(holding.blocks, block);
                   });
    holdings.push_back(std::move(holding));
  }
  std::vector<std::vector<plan::RemoteHolding>> nothing(static_cast<std::size_t>(ranks));
  return plan::make_routes(ownership, rank, std::move(holdings), std::move(nothing));
}

/// Rank 0: the index from the homes' tensors and from what each rank writes.
storage::ShardIndex put_together(const std::vector<Bytes>& from_homes,
                                 const std::vector<Bytes>& from_ranks) {
  using Key = std::pair<Family, std::string>;
  std::map<Key, storage::ShardedTensor> tensors;
  for (const Bytes& bytes : from_homes) {
    for (WireReader reader(bytes); !reader.done();) {
      storage::ShardedTensor tensor;
      static_cast<TensorInfo&>(tensor) = plan::get_tensor(reader);
      Key key{tensor.family, tensor.name};
      tensors.emplace(std::move(key), std::move(tensor));
    }
  }
  storage::ShardIndex index;
  for (std::size_t rank = 0; rank < from_ranks.size(); ++rank) {
    WireReader reader(from_ranks[rank]);
    index.shards.push_back(reader.get<storage::ShardFile>());
    while (!reader.done()) {
      const Family family = reader.get<Family>();
      storage::ShardedTensor& tensor = tensors.at({family, reader.get_text()});
      tensor.pieces.push_back({rank, plan::get_box(reader)});
    }
  }
  for (auto& [key, tensor] : tensors) index.tensors.push_back(std::move(tensor));
  return index;
}

Bytes describe_shard(const ShardPlan& plan, std::span<const plan::Claim> claims) {
  WireWriter writer;
  writer.put(storage::ShardFile{plan.layout.image_bytes, plan.layout.head_crc});
  for (const ShardBox& box : plan.boxes) {
    const TensorInfo& tensor = claims[box.entry].tensor;
    writer.put(tensor.family).put_text(tensor.name);
    plan::put_box(writer, box.box);
  }
  return writer.take();
}

}  // namespace

std::uint64_t ShardPlan::memory() const noexcept {
  std::uint64_t bytes = routes.memory() + layout.head.capacity() + index.layout.head.capacity() +
                        index.body.capacity() + layout.offsets.capacity() * sizeof(std::uint64_t);
  for (const ShardBox& box : boxes) {
    bytes += sizeof box + (box.box.offset.capacity() + box.box.extent.capacity()) * 8;
  }
  return bytes;
}

ShardPlan make_lone_plan(std::span<const plan::Claim> claims, std::uint64_t block_bytes) {
  std::vector<std::pair<TensorInfo, ShardBox>> both;
  for (std::uint32_t i = 0; i < claims.size(); ++i) {
    const auto& [tensor, box] = claims[i];
    // Without an empty box a tensor without elements would be nowhere.
    if (is_empty(box) && element_count(tensor.shape) != 0) continue;
    TensorInfo dataset = tensor;
    dataset.name = storage::lone_piece_name(tensor.name, box, tensor.shape);
    dataset.shape = box.extent;
    both.emplace_back(std::move(dataset), ShardBox{i, box});
  }
  std::ranges::stable_sort(both, {}, [](const auto& pair) { return pair.first.key(); });
  const auto twice = std::ranges::unique(both, {}, [](const auto& pair) { return pair.first.key(); });
  both.erase(twice.begin(), twice.end());
  ShardPlan plan;
  std::vector<TensorInfo> datasets;
  for (auto& [dataset, box] : both) {
    datasets.push_back(std::move(dataset));
    plan.boxes.push_back(std::move(box));
  }
  plan.layout = storage::lay_out_in_blocks(datasets, block_bytes);
  plan.routes = own_routes(0, 1, plan.layout, datasets);
  plan.tensor_count = plan.layout.tensor_count;
  plan.value_bytes = plan.layout.value_bytes;
  plan.file_bytes = plan.layout.image_bytes;
  return plan;
}

ShardPlan make_shard_plan(const Comm& comm, std::span<const plan::Claim> claims,
                          std::uint64_t largest_block) {
  ShardPlan plan;
  const ClaimsAtHome at = bring_home(comm, claims);
  plan.boxes = take_boxes(comm, at, largest_block);
  const std::vector<TensorInfo> datasets = datasets_of(claims, plan.boxes);
  const auto most = all_of<std::uint64_t>(comm, bytes_of(datasets), MPI_MAX);
  run_together(comm, [&] {
    plan.layout =
        storage::lay_out_in_blocks(datasets, storage::choose_block(most, largest_block));
    plan.routes = own_routes(comm.rank(), comm.size(), plan.layout, datasets);
  });

  const std::vector<TensorInfo> planned = at.home.tensors();
  WireWriter of_home;
  for (const TensorInfo& tensor : planned) plan::put_tensor(of_home, tensor);
  const std::vector<Bytes> from_homes = comm.gather(of_home.take());
  const std::vector<Bytes> from_ranks = comm.gather(describe_shard(plan, claims));
  run_on_root(comm, [&] {
    plan.index = storage::make_index_image(put_together(from_homes, from_ranks));
  });
  const std::vector<TensorInfo> parameters = parameters_of(planned);
  std::array<std::uint64_t, 3> sums{parameters.size(), bytes_of(parameters),
                                    plan.layout.image_bytes + plan.index.layout.image_bytes};
  comm.allreduce(std::span<std::uint64_t>(sums), MPI_SUM);
  plan.tensor_count = sums[0];
  plan.value_bytes = sums[1];
  plan.file_bytes = sums[2];
  return plan;
}

}  // namespace cairn::coord
