#include "codec/wide_gcm.hpp"

#include <openssl/crypto.h>

#include <array>
#include <memory>

#include "cairn/error.hpp"

#if defined(CAIRN_HAVE_IPSEC_MB)
#include <intel-ipsec-mb.h>
#endif

namespace cairn::codec {

#if defined(CAIRN_HAVE_IPSEC_MB)

namespace {

/// The library's functions for one length of keys. They keep nothing between two calls.
struct Functions {
  aes_gcm_pre_t expand;
  aes_gcm_init_t begin;
  aes_gcm_enc_dec_update_t encrypt;
  aes_gcm_enc_dec_update_t decrypt;
  aes_gcm_enc_dec_finalize_t end;
};

struct FreeManager {
  void operator()(IMB_MGR* manager) const noexcept { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

/// Whether both the processor and the system have them; the library asks the processor alone, and is
/// killed where the system leaves registers of 512 bits switched off.
bool has_wide_instructions() noexcept {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
}

/// Null where there is nothing that is worth it, or that would leave keys in registers.
Manager make_manager() noexcept {
  constexpr std::uint64_t kNeeded = IMB_FEATURE_VAES | IMB_FEATURE_SAFE_DATA;
  if (!has_wide_instructions()) return nullptr;
  Manager manager(alloc_mb_mgr(0));
  if (!manager) return nullptr;
  IMB_ARCH found = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager.get(), &found);  // tests itself, too
  const bool is_good = found == IMB_ARCH_AVX512 && (manager->features & kNeeded) == kNeeded;
  if (!is_good || imb_get_errno(manager.get()) != 0) return nullptr;
  return manager;
}

const IMB_MGR* manager() noexcept {
  static const Manager made = make_manager();
  return made.get();
}

Functions functions_for(std::size_t key_bytes) {
  const IMB_MGR& m = *manager();
  switch (key_bytes) {
    case 16:
      return {m.gcm128_pre, m.gcm128_init, m.gcm128_enc_update, m.gcm128_dec_update,
              m.gcm128_enc_finalize};
    case 24:
      return {m.gcm192_pre, m.gcm192_init, m.gcm192_enc_update, m.gcm192_dec_update,
              m.gcm192_enc_finalize};
    default:
      return {m.gcm256_pre, m.gcm256_init, m.gcm256_enc_update, m.gcm256_dec_update,
              m.gcm256_enc_finalize};
  }
}

const std::uint8_t* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
std::uint8_t* raw(std::span<std::byte> bytes) {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}

const gcm_key_data* schedule_in(const Key& key) {
  return reinterpret_cast<const gcm_key_data*>(key.bytes().data());
}

}  // namespace

bool WideGcm::is_there() noexcept { return manager() != nullptr; }

WideGcm::WideGcm(std::span<const std::byte> key)
    : key_bytes_(key.size()),
      schedule_(Key::with_bytes(sizeof(gcm_key_data), [&](std::span<std::byte> page) {
        functions_for(key.size())
            .expand(key.data(), reinterpret_cast<gcm_key_data*>(page.data()));
      })) {}

void WideGcm::seal(const Place& place, std::span<std::byte> bytes, std::span<std::byte> tag,
                   const Fetch& fetch) const {
  const Functions gcm = functions_for(key_bytes_);
  const gcm_key_data* const key = schedule_in(schedule_);
  gcm_context_data context{};
  gcm.begin(key, &context, raw(place.nonce), raw(place.authenticated),
            place.authenticated.size());
  encrypt_parts(bytes, fetch, [&](std::span<const std::byte> from, std::span<std::byte> to) {
    gcm.encrypt(key, &context, raw(to), raw(from), to.size());
  });
  gcm.end(key, &context, raw(tag), kTagBytes);
}

bool WideGcm::open(const Place& place, std::span<std::byte> bytes,
                   std::span<const std::byte> tag) const {
  const Functions gcm = functions_for(key_bytes_);
  const gcm_key_data* const key = schedule_in(schedule_);
  gcm_context_data context{};
  gcm.begin(key, &context, raw(place.nonce), raw(place.authenticated),
            place.authenticated.size());
  gcm.decrypt(key, &context, raw(bytes), raw(bytes), bytes.size());
  std::array<std::byte, kTagBytes> expected{};
  gcm.end(key, &context, raw(std::span<std::byte>(expected)), kTagBytes);
  return tag.size() == kTagBytes && CRYPTO_memcmp(expected.data(), tag.data(), kTagBytes) == 0;
}

#else

namespace {

[[noreturn]] void refuse() { throw Error(ErrorCode::io, "this build has no libIPSec_MB"); }

}  // namespace

bool WideGcm::is_there() noexcept { return false; }
WideGcm::WideGcm(std::span<const std::byte> key) : key_bytes_(key.size()) { refuse(); }
void WideGcm::seal(const Place&, std::span<std::byte>, std::span<std::byte>, const Fetch&) const {
  refuse();
}
bool WideGcm::open(const Place&, std::span<std::byte>, std::span<const std::byte>) const {
  refuse();
}

#endif

}  // namespace cairn::codec
