#pragma once

#include <mpi.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::coord {

/// Short messages beside the collectives of a conversation, for when something is wrong: "are you
/// there?", "I am", and "do not wait for this rank any more". They are looked at by ranks that wait,
/// and by nobody else: who stands still, computes or is dead does not answer.
class Mailbox {
 public:
  /// A rank that nobody must wait for.
  struct Gone {
    int rank;
    bool of_itself;   ///< it says so; else somebody waited for it in vain
    std::string why;  ///< as a predicate: "left the training loop"
  };

  /// Collective; blocks. All ranks learn each other's hosts.
  void open(MPI_Comm comm);
  /// Local. One of the same ranks on a duplicate of the communicator.
  [[nodiscard]] Mailbox at(MPI_Comm duplicate) const;

  /// Local. Answers who asks for this rank. Returns the first rank that it hears is gone.
  std::optional<Gone> look();
  /// Local. Asks all other ranks whether they are there.
  void call_roll();
  /// Local. Those that have neither answered nor asked since then.
  [[nodiscard]] std::vector<int> silent() const;
  /// Local. Tells all other ranks.
  void tell_gone(const Gone& gone);

  /// "rank 2 (host n17)".
  [[nodiscard]] std::string describe(int rank) const;
  /// What `silent` found, as a sentence.
  [[nodiscard]] std::string describe(std::span<const int> missing) const;

 private:
  static constexpr std::size_t kHostBytes = 64;
  enum class Kind : std::int32_t { are_you_there, i_am, gone };
  struct Letter {
    Kind kind = Kind::are_you_there;
    std::int32_t rank = 0;
    bool of_itself = false;
    std::array<char, 256> text{};
  };

  /// The next letter, and who sent it.
  std::optional<int> take(Letter& letter) const;
  void send(const Letter& letter, int to) const;
  void send_to_all(const Letter& letter) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 0;
  std::vector<std::array<char, kHostBytes>> hosts_;  ///< by rank
  std::vector<bool> heard_;                          ///< by rank: it asked, or answered
};

}  // namespace cairn::coord
