#include "plan/claim.hpp"

#include <algorithm>

#include "cairn/error.hpp"

namespace cairn::plan {
namespace {

[[noreturn]] void refuse(const State::Entry& entry, const std::string& why) {
  constexpr std::size_t kShown = 100;
  throw Error(ErrorCode::invalid_argument,
              label(entry.family, entry.name.substr(0, kShown)) + ": " + why);
}

void check_name(const State::Entry& entry) {
  if (entry.name.empty()) refuse(entry, "a name must not be empty");
  if (entry.name.size() > kLongestName) {
    refuse(entry, "the name has " + std::to_string(entry.name.size()) + " bytes, at most " +
                      std::to_string(kLongestName) + " are taken");
  }
}

void check_slice(const State::Entry& entry) {
  const auto& [global, offset, extent] = entry.slice;
  if (global.size() > kMostDimensions) {
    refuse(entry, "shape " + to_string(global) + " has " + std::to_string(global.size()) +
                      " dimensions, at most " + std::to_string(kMostDimensions) + " are taken");
  }
  if (offset.size() != global.size() || extent.size() != global.size()) {
    refuse(entry, "offset " + to_string(offset) + " and extent " + to_string(extent) +
                      " must have as many entries as the global shape " + to_string(global));
  }
  for (std::size_t d = 0; d < global.size(); ++d) {
    if (offset[d] > global[d] || extent[d] > global[d] - offset[d]) {
      refuse(entry, "the slice at " + to_string(offset) + " of extent " + to_string(extent) +
                        " leaves the global shape " + to_string(global) + " in dimension " +
                        std::to_string(d));
    }
  }
}

void check_source(const State::Entry& entry) {
  const Source& source = entry.source;
  const std::uint64_t bytes = element_count(entry.slice.extent) * size_of(source.dtype());
  if (entry.given_bytes && *entry.given_bytes != bytes) {
    refuse(entry, "the memory given has " + std::to_string(*entry.given_bytes) +
                      " bytes, the slice of extent " + to_string(entry.slice.extent) + " and type " +
                      std::string(to_string(source.dtype())) + " has " + std::to_string(bytes));
  }
  if (source.byte_strides() && source.byte_strides()->size() != entry.slice.extent.size()) {
    refuse(entry, std::to_string(source.byte_strides()->size()) +
                      " byte strides given for a slice of " +
                      std::to_string(entry.slice.extent.size()) + " dimensions");
  }
  if (bytes > 0 && source.in_memory() && source.data() == nullptr) {
    refuse(entry, "no memory given for a slice of " + std::to_string(bytes) + " bytes");
  }
}

void check_size(const State::Entry& entry) {
  // Bytes must fit where HDF5 and the system want a signed 64-bit number.
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 62;
  const Shape& global = entry.slice.global;
  if (std::ranges::find(global, std::uint64_t{0}) != global.end()) return;
  std::uint64_t room = kMostBytes / size_of(entry.source.dtype());
  for (const std::uint64_t extent : global) {
    if (extent > room) refuse(entry, "shape " + to_string(global) + " is too large");
    room /= extent;
  }
}

}  // namespace

void check_entries(const State& state) {
  for (const State::Entry& entry : state.entries()) {
    check_name(entry);
    check_slice(entry);
    check_size(entry);
    check_source(entry);
  }
}

std::vector<Claim> describe(const State& state) {
  check_entries(state);
  std::vector<Claim> claims;
  claims.reserve(state.entries().size());
  for (const State::Entry& entry : state.entries()) {
    claims.push_back({{entry.name, entry.source.dtype(), entry.slice.global, entry.family,
                       entry.is_text},
                      {entry.slice.offset, entry.slice.extent}});
  }
  return claims;
}

void put_structure(WireWriter& writer, const State& state) {
  for (const State::Entry& entry : state.entries()) {
    writer.put_text(entry.name).put(entry.source.dtype()).put(entry.family).put(entry.is_text);
    writer.put_all(std::span<const std::uint64_t>(entry.slice.global));
    writer.put_all(std::span<const std::uint64_t>(entry.slice.offset));
    writer.put_all(std::span<const std::uint64_t>(entry.slice.extent));
  }
}

void put_box(WireWriter& writer, const Box& box) {
  writer.put_all(std::span<const std::uint64_t>(box.offset));
  writer.put_all(std::span<const std::uint64_t>(box.extent));
}

Box get_box(WireReader& reader) {
  Box box;
  box.offset = reader.get_all<std::uint64_t>();
  box.extent = reader.get_all<std::uint64_t>();
  return box;
}

void put_tensor(WireWriter& writer, const TensorInfo& tensor) {
  writer.put_text(tensor.name).put(tensor.dtype);
  writer.put_all(std::span<const std::uint64_t>(tensor.shape));
  writer.put(tensor.family).put(tensor.is_text);
}

TensorInfo get_tensor(WireReader& reader) {
  TensorInfo tensor;
  tensor.name = reader.get_text();
  tensor.dtype = reader.get<DType>();
  tensor.shape = reader.get_all<std::uint64_t>();
  tensor.family = reader.get<Family>();
  tensor.is_text = reader.get<bool>();
  return tensor;
}

void put_claim(WireWriter& writer, const Claim& claim) {
  put_tensor(writer, claim.tensor);
  put_box(writer, claim.box);
}

Claim get_claim(WireReader& reader) {
  Claim claim;
  claim.tensor = get_tensor(reader);
  claim.box = get_box(reader);
  return claim;
}

int home_of(std::string_view name, int ranks) noexcept {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return static_cast<int>((hash ^ hash >> 32) % static_cast<std::uint64_t>(ranks));
}

}  // namespace cairn::plan
