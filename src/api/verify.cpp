#include <array>

#include "cairn/inspect.hpp"
#include "coord/together.hpp"
#include "coord/verifier.hpp"
#include "policy/resolution.hpp"

namespace cairn {

std::string_view to_string(Verified verified) noexcept {
  constexpr std::array<std::string_view, 3> kNames{"structure", "crc", "sealed"};
  return kNames.at(static_cast<std::size_t>(verified));
}

VerifyReport verify(MPI_Comm comm, const std::filesystem::path& path,
                    const VerifyOptions& options) {
  const coord::Comm own(comm, options.deadline);
  coord::run_together(own, [&] { policy::check_deadline(options.deadline); });
  return coord::verify_checkpoint(own, path, options);
}

}  // namespace cairn
