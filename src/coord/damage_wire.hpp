#pragma once

#include <string>

#include "base/wire.hpp"
#include "cairn/inspect.hpp"

namespace cairn::coord {

inline void put_damage(WireWriter& writer, const Damage& damage) {
  writer.put_text(damage.file.string()).put(damage.offset.has_value());
  writer.put(damage.offset.value_or(0)).put(damage.bytes).put_text(damage.reason);
  writer.put(damage.tensors.size());
  for (const std::string& tensor : damage.tensors) writer.put_text(tensor);
}

inline Damage get_damage(WireReader& reader) {
  Damage damage;
  damage.file = reader.get_text();
  const bool has_offset = reader.get<bool>();
  const auto offset = reader.get<std::uint64_t>();
  if (has_offset) damage.offset = offset;
  damage.bytes = reader.get<std::uint64_t>();
  damage.reason = reader.get_text();
  for (auto n = reader.get<std::size_t>(); n > 0; --n) damage.tensors.push_back(reader.get_text());
  return damage;
}

}  // namespace cairn::coord
