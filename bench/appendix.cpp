#include "appendix.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "fill.hpp"

namespace bench {
namespace {

const cairn::Shape kShape{97, 31};
constexpr cairn::DType kDtype = cairn::DType::bfloat16;
constexpr std::uint64_t kPlace = 1000;  // in the rule; no workload has so many tensors
constexpr std::int64_t kStepBase = 1'000'000;

FillRule rule_of(std::uint64_t step) { return {kDtype, kPlace, step}; }

/// All but counters and tensors. Names that need an escape, or lie in each other.
cairn::AppendDict plain_values() {
  return {{"lr", 0.1},       {"lr/warmup", 1e-3F}, {"seed", -42},       {"frozen", true},
          {"shuffle", false}, {"note", "größer als 1\n\"2\""}, {"nothing", ""}, {"100%", 100}};
}

cairn::AppendedInfo expected_at(std::uint64_t step) {
  cairn::AppendedInfo expected;
  for (const auto& [key, value] : plain_values().entries()) {
    std::visit(
        [&, &name = key](const auto& plain) {
          if constexpr (std::is_constructible_v<cairn::AppendedValue, decltype(plain)>) {
            expected.emplace(name, plain);
          }
        },
        value.value());
  }
  expected.emplace("epoch_num", std::int64_t{1});
  expected.emplace("step_num", kStepBase + static_cast<std::int64_t>(step));
  expected.emplace("count", cairn::AppendedTensor{cairn::DType::int32, {}});
  expected.emplace("averages/matrix", cairn::AppendedTensor{kDtype, kShape});
  return expected;
}

}  // namespace

Appendix::Appendix(const World& world)
    : world_(world),
      rows_(cairn::split(kShape, 0, world.rank(), world.ranks())),
      matrix_(cairn::element_count(rows_.extent) * cairn::size_of(kDtype)) {}

cairn::AppendDict Appendix::dict() {
  cairn::AppendDict dict = plain_values();
  dict.add("count", cairn::AppendTensor(count_));
  cairn::Source source = cairn::Source::memory(kDtype, matrix_.data());
  dict.add("averages/matrix", cairn::AppendTensor(rows_, std::move(source)));
  return dict;
}

std::vector<cairn::AppendItem> Appendix::items() {
  return {"epoch_num", dict().add("step_num", kStepBase)};
}

void Appendix::fill(std::uint64_t step) {
  bench::fill(rule_of(step), rows_, matrix_.data());
  count_ = static_cast<std::int32_t>(step);
}

void Appendix::spoil() {
  std::ranges::fill(matrix_, std::byte{0xFF});
  count_ = -1;
}

std::string Appendix::find_difference(std::uint64_t step, const cairn::AppendedInfo& loaded) const {
  if (loaded != expected_at(step)) return "other entries or values than were appended";
  const bool right = !bench::find_difference(rule_of(step), rows_, matrix_.data());
  if (!world_.all(right)) return "\"averages/matrix\" has other elements on some rank";
  if (!world_.all(count_ == static_cast<std::int32_t>(step))) return "\"count\" is another number";
  return "";
}

}  // namespace bench
