#include "coord/load_steps.hpp"

#include <algorithm>

#include "base/map_datasets.hpp"
#include "codec/seal.hpp"
#include "codec/sha256.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"
#include "policy/append_info.hpp"
#include "policy/resolution.hpp"
#include "storage/protection.hpp"

namespace cairn::coord {

void check_options(const Comm& comm, const LoadOptions& options) {
  std::uint64_t digest = 0;
  run_together(comm, [&] {
    policy::check_deadline(options.deadline);
    policy::check_append_dict(options.append_info);
    storage::check(storage::Unlock{options.enc_key, options.enc_mode, options.crc_check});
    WireWriter writer;
    writer.put(options.strict).put(static_cast<bool>(options.filter)).put(options.convert_dtype);
    writer.put(options.allow_overflow);
    writer.put_text(options.strip_prefix).put_text(options.add_prefix);
    writer.put(options.crc_check).put(options.enc_mode.has_value());
    writer.put(options.enc_mode.value_or(EncMode::aes_gcm));
    writer.put(codec::fingerprint(options.enc_key));
    digest = WireReader(codec::sha256(writer.take())).get<std::uint64_t>();
  });
  check_same(comm, digest,
             "the options of a load (strict, filter or none, prefixes, conversion, crc_check, "
             "enc_key, enc_mode)");
}

std::vector<plan::Claim> claims_to_fill(const State& state) {
  std::vector<plan::Claim> claims = plan::describe(state);
  for (const State::Entry& entry : state.entries()) {
    if (entry.source.writable() || element_count(entry.slice.extent) == 0) continue;
    throw Error(ErrorCode::invalid_argument, label(entry.family, entry.name) +
                                                 " can only be read: it was given as constant "
                                                 "memory or without a write callback");
  }
  return claims;
}

void add_map_claims(const State::Map& map, std::uint64_t entries,
                    std::vector<plan::Claim>& claims) {
  const MapSettings& settings = map.map->settings();
  const auto add = [&](MapPart part, DType dtype, const Shape& shape) {
    const Shape zeros(shape.size(), 0);
    claims.push_back(
        {{part_name(map.name, part), dtype, shape, Family::map_parameter}, {zeros, zeros}});
  };
  Shape values{entries};
  values.insert(values.end(), settings.row_shape.begin(), settings.row_shape.end());
  add(MapPart::default_row, settings.dtype, settings.row_shape);
  add(MapPart::keys, settings.key_dtype, {entries});
  add(MapPart::statuses, DType::uint8, {entries});
  add(MapPart::values, settings.dtype, values);
}

void report_match(const Comm& comm, std::span<const plan::Claim> claims,
                  std::span<const TensorInfo> stored, const Match& match, LoadReport& report) {
  std::vector<std::uint64_t> asked(stored.size(), 0);  // bytes of each tensor
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (!match.places[i]) continue;
    const std::size_t t = *match.places[i];
    asked[t] += element_count(claims[i].box.extent) * size_of(stored[t].dtype);
  }
  comm.allreduce(std::span<std::uint64_t>(asked), MPI_SUM);
  for (std::size_t t = 0; t < asked.size(); ++t) {
    report.bytes_filled += asked[t];
    report.bytes_needed +=
        std::min(asked[t], element_count(stored[t].shape) * size_of(stored[t].dtype));
  }
  report.tensors = static_cast<std::uint64_t>(
      std::ranges::count(stored, Family::parameter, &TensorInfo::family));
  report.warnings.insert(report.warnings.end(), match.warnings.begin(), match.warnings.end());
  report.missing = match.missing;
  report.extra = match.extra;
  report.different = match.different;
}

}  // namespace cairn::coord
