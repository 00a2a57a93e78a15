#include "cairn/inspect.hpp"
#include "codec/sha256.hpp"
#include "codec/seal.hpp"
#include "coord/step_vote.hpp"
#include "coord/together.hpp"
#include "coord/verifier.hpp"
#include "policy/resolution.hpp"

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
  return coord::verify_checkpoint(own, path, unlock, options.progress);
}

}  // namespace cairn
