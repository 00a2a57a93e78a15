#include "coord/mailbox.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "coord/forsake.hpp"

namespace cairn::coord {
namespace {

/// Tag 0 is that of data.
constexpr int kTag = 1;
constexpr std::size_t kMostNamed = 8;

template <std::size_t n>
void put(std::array<char, n>& place, std::string_view text) {
  std::memcpy(place.data(), text.data(), std::min(text.size(), n - 1));
}

}  // namespace

void Mailbox::open(MPI_Comm comm) {
  comm_ = comm;
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  std::array<char, kHostBytes> own{};
  put(own, {name.data(), static_cast<std::size_t>(length)});
  hosts_.resize(static_cast<std::size_t>(size_));
  heard_.resize(static_cast<std::size_t>(size_));
  MPI_Allgather(own.data(), kHostBytes, MPI_CHAR, hosts_.data(), kHostBytes, MPI_CHAR, comm_);
}

Mailbox Mailbox::at(MPI_Comm duplicate) const {
  Mailbox other = *this;
  other.comm_ = duplicate;
  return other;
}

std::optional<Mailbox::Gone> Mailbox::look() {
  Letter letter;
  while (const auto from = take(letter)) {
    heard_[static_cast<std::size_t>(*from)] = true;
    if (letter.kind == Kind::are_you_there) send({.kind = Kind::i_am}, *from);
    if (letter.kind == Kind::gone) {
      letter.text.back() = '\0';
      return Gone{letter.rank, letter.of_itself, letter.text.data()};
    }
  }
  return std::nullopt;
}

void Mailbox::call_roll() {
  heard_.assign(heard_.size(), false);
  heard_[static_cast<std::size_t>(rank_)] = true;
  send_to_all({.kind = Kind::are_you_there});
}

std::vector<int> Mailbox::silent() const {
  std::vector<int> ranks;
  for (int rank = 0; rank < size_; ++rank) {
    if (!heard_[static_cast<std::size_t>(rank)]) ranks.push_back(rank);
  }
  return ranks;
}

void Mailbox::tell_gone(const Gone& gone) {
  Letter letter{.kind = Kind::gone, .rank = gone.rank, .of_itself = gone.of_itself};
  put(letter.text, gone.why);
  send_to_all(letter);
}

std::string Mailbox::describe(int rank) const {
  if (rank < 0 || rank >= size_) return "rank " + std::to_string(rank);
  return "rank " + std::to_string(rank) + " (host " +
         hosts_[static_cast<std::size_t>(rank)].data() + ")";
}

std::string Mailbox::describe(std::span<const int> missing) const {
  if (missing.empty()) return "every rank answers, so none is dead: one is late";
  std::string text;
  for (std::size_t i = 0; i < std::min(missing.size(), kMostNamed); ++i) {
    text += (i == 0 ? "" : ", ") + describe(missing[i]);
  }
  if (missing.size() > kMostNamed) {
    text += " and " + std::to_string(missing.size() - kMostNamed) + " more";
  }
  return text + (missing.size() == 1 ? " does" : " do") + " not answer";
}

std::optional<int> Mailbox::take(Letter& letter) const {
  int is_there = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  if (MPI_Improbe(MPI_ANY_SOURCE, kTag, comm_, &is_there, &message, &status) != MPI_SUCCESS ||
      is_there == 0) {
    return std::nullopt;
  }
  if (MPI_Mrecv(&letter, sizeof letter, MPI_BYTE, &message, &status) != MPI_SUCCESS) {
    return std::nullopt;
  }
  return status.MPI_SOURCE;
}

/// Whether it arrives is nobody's concern; so MPI may keep the letter for as long as it likes.
void Mailbox::send(const Letter& letter, int to) const {
  auto kept = std::make_unique<Letter>(letter);
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Isend(kept.get(), sizeof letter, MPI_BYTE, to, kTag, comm_, &request) != MPI_SUCCESS) {
    return;
  }
  int sent = 0;
  MPI_Test(&request, &sent, MPI_STATUS_IGNORE);
  if (sent != 0) return;
  MPI_Request_free(&request);
  forsake(std::move(kept));
}

void Mailbox::send_to_all(const Letter& letter) const {
  for (int rank = 0; rank < size_; ++rank) {
    if (rank != rank_) send(letter, rank);
  }
}

}  // namespace cairn::coord
