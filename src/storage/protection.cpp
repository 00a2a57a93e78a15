#include "storage/protection.hpp"

#include <string>

#include "cairn/error.hpp"
#include "codec/seal.hpp"

namespace cairn::storage {

void check(const Protection& protection, Writer writer) {
  if (writer == Writer::hdf5 && (protection.sealed() || protection.crc_check)) {
    throw Error(ErrorCode::invalid_argument,
                std::string(protection.sealed() ? "enc_key is set" : "crc_check is true") +
                    " and the writer is hdf5; the blocks of that one are not Cairn's to "
                    "protect: take direct or mpiio");
  }
  if (!protection.sealed()) return;
  codec::check_key(protection.enc_key, protection.enc_mode);
  if (protection.crc_check) {
    throw Error(ErrorCode::invalid_argument,
                "crc_check is true though there is an enc_key; it takes false then: what is "
                "encrypted is authenticated, block by block");
  }
}

void check(const Unlock& unlock) {
  if (unlock.enc_key.empty()) return;
  if (unlock.enc_mode) codec::check_key(unlock.enc_key, *unlock.enc_mode);
  if (unlock.crc_check) {
    throw Error(ErrorCode::invalid_argument,
                "crc_check is true though there is an enc_key; it takes false then: encrypted "
                "files have tags, not CRCs");
  }
}

}  // namespace cairn::storage
