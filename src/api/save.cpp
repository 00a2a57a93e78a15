#include "cairn/save.hpp"

#include <numeric>

#include "base/append_entries.hpp"
#include "codec/seal.hpp"
#include "codec/sha256.hpp"
#include "coord/foreign_loader.hpp"
#include "coord/load_steps.hpp"
#include "coord/loader.hpp"
#include "coord/saver.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"
#include "policy/append_info.hpp"
#include "policy/resolution.hpp"
#include "storage/protection.hpp"

namespace cairn {
namespace {

/// The first bytes of a digest of what all ranks must have in common.
std::uint64_t number_of(WireWriter writer) {
  const codec::Digest digest = codec::sha256(writer.take());
  return WireReader(digest).get<std::uint64_t>();
}

std::uint64_t digest_of(const SaveOptions& options) {
  WireWriter writer;
  writer.put(options.writer).put(options.block_bytes).put(options.durable);
  writer.put(options.integrated_save).put(options.crc_check).put(options.enc_mode);
  writer.put(codec::fingerprint(options.enc_key));
  put_plain_values(writer, options.append_info);
  return number_of(std::move(writer));
}

/// What Cairn did not write is neither encrypted by it nor has its CRCs.
void refuse_protection(const std::filesystem::path& path, const LoadOptions& options) {
  if (options.enc_key.empty() && !options.crc_check) return;
  throw Error(ErrorCode::mismatch,
              path.string() + " was not written by Cairn: it " +
                  (options.crc_check ? "holds no CRCs, but crc_check asks for them"
                                     : "is not encrypted, but there is an enc_key") +
                  " (state unchanged)");
}

}  // namespace

std::string_view to_string(Verified verified) noexcept {
  constexpr std::array<std::string_view, 3> kWords{"structure", "crc", "seal"};
  return kWords[static_cast<std::size_t>(verified)];
}

double SaveReport::total_seconds() const noexcept {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

SaveReport save(MPI_Comm comm, const std::filesystem::path& path, const State& state,
                const SaveOptions& options) {
  const storage::Protection protection{options.crc_check, options.enc_key, options.enc_mode};
  coord::Saver saver(comm, options, protection);
  coord::run_together(saver.comm(), [&] {
    policy::check(options);
    policy::check_append_dict(options.append_info);
    storage::check(protection, options.writer);
  });
  coord::check_same(saver.comm(), digest_of(options),
                    "the options of a save (writer, block_bytes, durable, integrated_save, "
                    "crc_check, enc_key, enc_mode, append_info but for its tensors)");
  const State entries = with_append_info(state, options.append_info);
  coord::Saver::Job job{.state = entries, .request = {}};
  job.request.path = path;
  job.request.record.step = options.step;
  job.request.record.epoch = 1;
  job.request.record.step_in_epoch = options.step;
  job.request.record.run_id = options.run_id;
  job.request.record.saved_at = options.saved_at.value_or(std::chrono::system_clock::now());
  job.kind = options.integrated_save ? coord::SaveKind::integrated : coord::SaveKind::shards;
  job.listener = options.listener;
  return saver.save(job);
}

LoadReport load(MPI_Comm comm, const std::filesystem::path& path, State& state,
                const LoadOptions& options) {
  const coord::Comm own(comm, options.deadline);
  coord::check_options(own, options);
  if (coord::is_foreign(own, path)) {
    refuse_protection(path, options);
    return coord::load_foreign(own, path, state, options);
  }
  return coord::load_checkpoint(own, path, state, options);
}

}  // namespace cairn
