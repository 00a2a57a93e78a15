#include "coord/collective_file.hpp"

#include <array>
#include <string>
#include <utility>

#include "coord/together.hpp"

namespace cairn::coord {
namespace {

std::string words_of(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return {text.data(), static_cast<std::size_t>(length)};
}

ErrorCode kind_of(int code) {
  int kind = MPI_SUCCESS;
  MPI_Error_class(code, &kind);
  return kind == MPI_ERR_NO_SPACE || kind == MPI_ERR_QUOTA ? ErrorCode::no_space : ErrorCode::io;
}

}  // namespace

CollectiveFile::CollectiveFile(const Comm& comm, std::filesystem::path path, std::size_t blocks,
                               storage::ImageWriter& writer)
    : path_(std::move(path)),
      writer_(writer),
      turns_(all_of<std::uint64_t>(comm, blocks, MPI_MAX)) {
  settle(comm, attempt([&] {
           check(
               MPI_File_open(comm.handle(), path_.c_str(), MPI_MODE_WRONLY, MPI_INFO_NULL, &file_),
               "open");
           check(MPI_File_set_errhandler(file_, MPI_ERRORS_RETURN), "prepare");
         }));
}

void CollectiveFile::check(int code, const std::string& verb) const {
  if (code == MPI_SUCCESS) return;
  throw Error(kind_of(code),
              "MPI-IO cannot " + verb + " " + path_.string() + ": " + words_of(code));
}

void CollectiveFile::submit(std::span<std::byte> bytes, std::uint64_t position, std::size_t token,
                            std::vector<storage::LooseBytes> loose) {
  if (auto failed = attempt([&] { writer_.apply_loose(bytes, position, loose); })) {
    completed_.push_back({token, std::move(failed)});
    return;
  }
  waiting_.push_back({bytes, writer_.offset_of(position), token});
}

std::optional<storage::BlockSink::Completion> CollectiveFile::poll() {
  if (completed_.empty()) return std::nullopt;
  Completion first = std::move(completed_.front());
  completed_.pop_front();
  return first;
}

bool CollectiveFile::take_turn(std::size_t ready) {
  if (turns_taken_ == turns_ || turns_taken_ >= ready) return false;
  ++turns_taken_;
  if (waiting_.empty()) {
    // Others wait for this rank, whether it has anything to write or not. What fails here failed
    // for a rank that does, and is its to report.
    static_cast<void>(attempt([&] { write_together({}, 0); }));
    return true;
  }
  const Block block = waiting_.front();
  waiting_.pop_front();
  completed_.push_back({block.token, attempt([&] { write_together(block.bytes, block.offset); })});
  return true;
}

void CollectiveFile::write_together(std::span<std::byte> bytes, std::uint64_t offset) {
  const auto count = static_cast<int>(bytes.size());  // a block, at most 1 GiB
  MPI_Status status;
  check(MPI_File_write_at_all(file_, static_cast<MPI_Offset>(offset), bytes.data(), count, MPI_BYTE,
                              &status),
        "write at offset " + std::to_string(offset) + " of");
  int written = 0;
  MPI_Get_count(&status, MPI_BYTE, &written);
  if (written == count) return;
  throw Error(ErrorCode::io, "MPI-IO wrote " + std::to_string(written) + " of " +
                                 std::to_string(count) + " bytes at offset " +
                                 std::to_string(offset) + " of " + path_.string());
}

std::optional<Error> CollectiveFile::close(bool sync) {
  std::optional<Error> error;
  if (sync) error = attempt([&] { check(MPI_File_sync(file_), "sync"); });
  auto failed = attempt([&] { check(MPI_File_close(&file_), "close"); });
  return error ? std::move(error) : std::move(failed);
}

}  // namespace cairn::coord
