// Plans a save for any number of ranks, on one: what planning takes them, and what the plan asks of
// them. So it is known before somebody has the machine.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "simulated_plan.hpp"
#include "workload_file.hpp"

namespace bench {
namespace {

/// Extents of the mesh that the ranks are: copies of the model, slices of its tensors, stages of its
/// layers, and groups that its experts are spread over.
struct MeshExtents {
  int data = 0;  ///< 0: what the others leave
  int tensor = 1;
  int pipeline = 1;
  int expert = 1;
};

struct PlanArguments {
  std::string workload;
  std::vector<int> ranks{64, 256, 1024, 4096, 16384, 65536};
  std::vector<int> mesh;
  std::optional<Slicing> slicing;
  std::optional<std::size_t> block_bytes;
  std::string json;
};

std::optional<MeshExtents> mesh_for(const PlanArguments& arguments, int ranks) {
  if (arguments.mesh.empty()) return std::nullopt;
  const auto& given = arguments.mesh;
  MeshExtents mesh{given[0], given[1], given[2], given[3]};
  const int others = mesh.tensor * mesh.pipeline * mesh.expert;
  if (mesh.data == 0) mesh.data = std::max(ranks / others, 1);
  if (mesh.data * others != ranks) {
    throw UsageError("a mesh of " + std::to_string(mesh.data) + " x " + std::to_string(mesh.tensor) +
                     " x " + std::to_string(mesh.pipeline) + " x " + std::to_string(mesh.expert) +
                     " is not one of " + std::to_string(ranks) + " ranks");
  }
  return mesh;
}

/// What the mesh's `rank` holds of the `place`-th of `count` tensors, if anything.
std::optional<cairn::Slice> slice_in(const MeshExtents& mesh, const Tensor& tensor,
                                     std::size_t place, std::size_t count, int rank) {
  const int per_stage = mesh.data * mesh.expert * mesh.tensor;
  const auto stage = static_cast<int>(place * static_cast<std::size_t>(mesh.pipeline) / count);
  if (rank / per_stage != stage) return std::nullopt;
  // Device dimensions, counted from the last: tensor 0, expert 1, data 2.
  const cairn::Mesh devices{{static_cast<std::uint64_t>(mesh.data),
                             static_cast<std::uint64_t>(mesh.expert),
                             static_cast<std::uint64_t>(mesh.tensor)},
                            stage * per_stage};
  std::vector<int> map(tensor.shape.size(), -1);
  const bool is_expert = tensor.name.find("expert") != std::string::npos;
  if (!map.empty() && is_expert) map.front() = 1;
  if (!map.empty() && tensor.slicing == Slicing::columns) map.back() = 0;
  if (!map.empty() && tensor.slicing == Slicing::rows && !is_expert) map.front() = 0;
  return cairn::place(tensor.shape, devices, map, rank);
}

cairn::State state_of(const Workload& workload, const PlanArguments& arguments,
                      const std::optional<MeshExtents>& mesh, int ranks, int rank) {
  static std::byte nothing{};  // planning looks at no value
  cairn::State state;
  for (std::size_t place = 0; place < workload.tensors.size(); ++place) {
    const Tensor& tensor = workload.tensors[place];
    auto slice = mesh ? slice_in(*mesh, tensor, place, workload.tensors.size(), rank)
                      : slice_of(tensor.shape, arguments.slicing.value_or(tensor.slicing), place,
                                 rank, ranks);
    if (!slice) continue;
    state.add(tensor.name, std::move(*slice),
              cairn::Source::memory(tensor.dtype, static_cast<void*>(&nothing)));
  }
  return state;
}

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_header() {
  std::cout << "\n   ranks   ms slowest  ms mean  ms in turn  MiB  plan msgs  save msgs max/mean"
               "  blocks  writers  written MiB  max/mean\n";
}

void print_row(const PlanCost& cost) {
  const auto cell = [](double value, int width, int decimals) {
    std::cout << std::setw(width) << std::setprecision(decimals) << value;
  };
  std::cout << std::fixed << std::setw(8) << cost.ranks;
  cell(cost.seconds_max * 1e3, 13, 2);
  cell(cost.seconds_mean * 1e3, 9, 2);
  cell(cost.seconds_in_turn * 1e3, 12, 2);
  cell(mib(cost.memory_max), 5, 1);
  std::cout << std::setw(11) << cost.plan_messages_max << std::setw(11) << cost.messages_max;
  cell(static_cast<double>(cost.messages_max) / std::max(cost.messages_mean, 1e-9), 9, 2);
  std::cout << std::setw(8) << cost.blocks << std::setw(9) << cost.writers;
  cell(mib(cost.written_max), 13, 1);
  cell(static_cast<double>(cost.written_max) / std::max(cost.written_mean, 1.0), 10, 3);
  std::cout << std::endl;
}

nlohmann::ordered_json json_of(const PlanCost& cost) {
  return {{"ranks", cost.ranks},
          {"seconds, max", cost.seconds_max},
          {"seconds, mean", cost.seconds_mean},
          {"seconds in turn", cost.seconds_in_turn},
          {"memory, max", cost.memory_max},
          {"messages of planning, max", cost.plan_messages_max},
          {"messages of a save, max", cost.messages_max},
          {"messages of a save, mean", cost.messages_mean},
          {"blocks", cost.blocks},
          {"writers", cost.writers},
          {"bytes written, max", cost.written_max},
          {"bytes written, mean of writers", cost.written_mean}};
}

void run_plan(const PlanArguments& arguments, const Stage& stage) {
  const Workload workload = read_workload(stage.world, arguments.workload);
  for (const int ranks : arguments.ranks) static_cast<void>(mesh_for(arguments, ranks));
  nlohmann::ordered_json json{{"workload", arguments.workload},
                              {"bytes of values", workload.bytes()},
                              {"plans", nlohmann::ordered_json::array()}};
  if (stage.world.is_root()) {
    print_header();
    for (const int ranks : arguments.ranks) {
      const auto mesh = mesh_for(arguments, ranks);
      SimulatedPlan plan(
          ranks,
          [&](int rank) { return state_of(workload, arguments, mesh, ranks, rank); },
          arguments.block_bytes.value_or(cairn::WriteOptions{}.block_bytes));
      const PlanCost cost = plan.run();
      print_row(cost);
      json["plans"].push_back(json_of(cost));
    }
  }
  if (!arguments.json.empty()) write_json(stage, arguments.json, json);
}

}  // namespace

void add_plan_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "plan", "plan a save for ranks that are not there: what it takes them");
  auto arguments = std::make_shared<PlanArguments>();
  command->add_option("--workload", arguments->workload, "the tensors to save, a JSON file")
      ->required();
  command->add_option("--ranks", arguments->ranks, "how many, one plan for each number")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  CLI::Option* const mesh =
      command
          ->add_option("--mesh", arguments->mesh,
                       "data,tensor,pipeline,expert: what the ranks are; data 0: what is left. "
                       "Else each tensor is cut over all ranks, as the workload says")
          ->delimiter(',')
          ->expected(4)
          ->check(CLI::NonNegativeNumber);
  add_slicing_option(*command, arguments->slicing);
  mesh->excludes(command->get_option("--slicing"));
  add_bytes_option(*command, "--block-bytes", arguments->block_bytes, "largest block");
  command->add_option("--json", arguments->json, "write all figures to this file too");
  command->callback([arguments, &chosen] {
    chosen = [arguments](const Stage& stage) { run_plan(*arguments, stage); };
  });
}

}  // namespace bench
