#include "workload.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "cairn/error.hpp"

namespace bench {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, Slicing>, 5> kSlicings{
    {{"rows", Slicing::rows},
     {"columns", Slicing::columns},
     {"grid", Slicing::grid},
     {"replicated", Slicing::replicated},
     {"stage", Slicing::stage}}};

[[noreturn]] void refuse(std::size_t place, const std::string& why) {
  throw WorkloadError("tensor " + std::to_string(place) + " of the workload: " + why);
}

std::string text_of(const Json& tensor, const char* key, std::size_t place) {
  const auto found = tensor.find(key);
  if (found == tensor.end() || !found->is_string()) {
    refuse(place, std::string("expected a text as \"") + key + "\"");
  }
  return found->get<std::string>();
}

cairn::Shape shape_of(const Json& tensor, std::size_t place) {
  const auto found = tensor.find("shape");
  if (found == tensor.end() || !found->is_array()) refuse(place, "expected a list as \"shape\"");
  cairn::Shape shape;
  for (const Json& extent : *found) {
    if (!extent.is_number_unsigned()) refuse(place, "an extent is not a whole number from 0 on");
    shape.push_back(extent.get<std::uint64_t>());
  }
  try {
    (void)cairn::element_count(shape);
  } catch (const cairn::Error& error) {
    refuse(place, error.what());
  }
  return shape;
}

Tensor tensor_of(const Json& json, std::size_t place) {
  if (!json.is_object()) refuse(place, "not an object");
  const std::string dtype = text_of(json, "dtype", place);
  const std::string slicing = text_of(json, "slicing", place);
  const auto known_dtype = cairn::dtype_named(dtype);
  const auto known_slicing = slicing_named(slicing);
  if (!known_dtype) refuse(place, "unknown dtype \"" + dtype + "\"");
  if (!known_slicing) refuse(place, "unknown slicing \"" + slicing + "\"");
  return {text_of(json, "name", place), *known_dtype, shape_of(json, place), *known_slicing};
}

Json parse_json(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw WorkloadError(std::string("not JSON: ") + error.what());
  }
}

/// floor(part * n / parts) without overflow.
std::uint64_t cut(std::uint64_t n, std::uint64_t part, std::uint64_t parts) {
  return n / parts * part + n % parts * part / parts;
}

/// Keeps part `part` of `parts` of the whole dimension `dim`.
void keep_part(cairn::Slice& slice, std::size_t dim, int part, int parts) {
  const std::uint64_t n = slice.global[dim];
  const auto index = static_cast<std::uint64_t>(part);
  const auto count = static_cast<std::uint64_t>(parts);
  slice.offset[dim] = cut(n, index, count);
  slice.extent[dim] = cut(n, index + 1, count) - slice.offset[dim];
}

/// The largest divisor of `n` that is at most its square root.
int grid_rows(int n) {
  int best = 1;
  for (int p = 1; p <= n / p; ++p) {
    if (n % p == 0) best = p;
  }
  return best;
}

}  // namespace

std::optional<Slicing> slicing_named(std::string_view name) {
  for (const auto& [known, slicing] : kSlicings) {
    if (known == name) return slicing;
  }
  return std::nullopt;
}

std::uint64_t Tensor::bytes() const {
  return cairn::element_count(shape) * cairn::size_of(dtype);
}

std::uint64_t Workload::bytes() const {
  std::uint64_t sum = 0;
  for (const Tensor& tensor : tensors) sum += tensor.bytes();
  return sum;
}

Workload parse_workload(std::string_view text) {
  const Json json = parse_json(text);
  const auto tensors = json.is_object() ? json.find("tensors") : json.end();
  if (tensors == json.end() || !tensors->is_array()) {
    throw WorkloadError("expected an object with a list \"tensors\"");
  }
  Workload workload;
  std::set<std::string> names;
  for (const Json& tensor : *tensors) {
    const std::size_t place = workload.tensors.size();
    workload.tensors.push_back(tensor_of(tensor, place));
    const std::string& name = workload.tensors.back().name;
    if (!names.insert(name).second) refuse(place, "the name \"" + name + "\" was there before");
  }
  return workload;
}

std::optional<cairn::Slice> slice_of(const cairn::Shape& shape, Slicing slicing, std::size_t place,
                                     int rank, int ranks) {
  cairn::Slice slice = cairn::whole(shape);
  if (shape.empty()) return slice;  // a scalar is replicated whatever is said
  const std::size_t last = shape.size() - 1;
  switch (slicing) {
    case Slicing::rows:
      keep_part(slice, 0, rank, ranks);
      break;
    case Slicing::columns:
      keep_part(slice, last, rank, ranks);
      break;
    case Slicing::grid: {
      if (last == 0) return slice_of(shape, Slicing::rows, place, rank, ranks);
      const int columns = ranks / grid_rows(ranks);
      keep_part(slice, 0, rank / columns, ranks / columns);
      keep_part(slice, last, rank % columns, columns);
      break;
    }
    case Slicing::replicated:
      break;
    case Slicing::stage:
      if (place % static_cast<std::size_t>(ranks) != static_cast<std::size_t>(rank)) return {};
      break;
  }
  return slice;
}

}  // namespace bench
