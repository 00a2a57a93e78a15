#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "cairn/export.hpp"

namespace cairn {

/// What a caller can do about an error. Append-only: the numbers never change.
enum class ErrorCode : unsigned char {
  invalid_argument,  ///< a setting, a name or a call is wrong: fix the program
  layout,            ///< the slices of all ranks do not make whole tensors: fix the layout
  mismatch,          ///< the checkpoint holds other names, shapes or types than the state
  not_found,         ///< no such file, or no checkpoint: check the path
  damaged,           ///< the bytes are not what was written: take another checkpoint
  wrong_key,         ///< the key does not open this file
  no_space,          ///< the disk or the quota is full: make room and save again
  io,                ///< the operating system refused: see the message
  unresponsive,      ///< a rank did not come, or MPI failed: leave by MPI_Abort
};

/// Local. The name above in words: "not found".
CAIRN_API std::string_view to_string(ErrorCode code) noexcept;

/// The one exception of Cairn. Thrown by a collective call it is the same on every rank, but for
/// `unresponsive`: then each says what it waited for.
class CAIRN_API Error : public std::runtime_error {
 public:
  /// No rank in particular is at fault.
  static constexpr int kNoRank = -1;

  /// `message` is for people: what, where (tensor, file, offset) and what was expected.
  Error(ErrorCode code, const std::string& message, int rank = kNoRank)
      : std::runtime_error(message), code_(code), rank_(rank) {}

  /// What kind it is: for programs, which should not read `what()`.
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// The rank at fault in the communicator of the call, or `kNoRank`.
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  ErrorCode code_;
  int rank_;
};

}  // namespace cairn
