#include "cairn/inspect.hpp"
#include "codec/sha256.hpp"
#include "codec/seal.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"
#include "coord/verifier.hpp"
#include "policy/resolution.hpp"
#include "storage/chain_link.hpp"
#include "storage/listing.hpp"

namespace cairn {
namespace {

std::uint64_t digest_of(const storage::Unlock& unlock) {
  WireWriter writer;
  writer.put(unlock.enc_mode.has_value()).put(unlock.enc_mode.value_or(EncMode::aes_gcm));
  writer.put(codec::fingerprint(unlock.enc_key));
  const codec::Digest digest = codec::sha256(writer.take());
  return WireReader(digest).get<std::uint64_t>();
}

}  // namespace

VerifyReport verify(MPI_Comm comm, const std::filesystem::path& path,
                    const VerifyOptions& options) {
  const coord::Comm own(comm, options.deadline);
  const storage::Unlock unlock{options.enc_key, options.enc_mode};
  coord::run_together(own, [&] {
    policy::check_deadline(options.deadline);
    storage::check(unlock);
  });
  coord::check_same(own, digest_of(unlock), "the options of a verification (enc_key, enc_mode)");
  VerifyReport report = coord::verify_checkpoint(own, path, unlock, options.progress);
  WireWriter writer;
  coord::run_on_root(own, [&] {
    const storage::Listed listed = storage::look_at_one(report.path);
    if (!listed.identity) return;
    if (auto broken = storage::find_broken_link(listed.path, *listed.identity)) {
      writer.put_text(*broken);
    }
  });
  const Bytes told = own.broadcast(writer.take());
  if (!told.empty()) {
    report.damage.push_back(
        {report.path, std::nullopt, 0, "what it goes back to is not whole: " +
                                           WireReader(told).get_text(), {}});
  }
  return report;
}

}  // namespace cairn
