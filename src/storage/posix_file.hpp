#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/handle.hpp"
#include "cairn/error.hpp"

namespace cairn::storage {

struct DescriptorTraits {
  using Handle = int;
  static Handle null() noexcept { return -1; }
  static void close(Handle fd) noexcept;
};
using Descriptor = UniqueHandle<DescriptorTraits>;

/// What O_DIRECT asks of addresses, offsets and lengths.
inline constexpr std::size_t kDirectAlignment = 4096;

/// An open file on a checkpoint path: every read and write of one goes through here. EINTR, EAGAIN
/// and short transfers are retried, nothing else is. All errors are `Error` with the path, the
/// offset and the system's own words; ENOSPC, EDQUOT and EFBIG are `no_space`.
class PosixFile {
 public:
  /// Makes a new file for reading and writing; it must not exist.
  static PosixFile create(const std::filesystem::path& path);
  /// Makes it or, where it exists, opens it for reading and writing.
  static PosixFile open_or_create(const std::filesystem::path& path);
  static PosixFile open_for_writing(const std::filesystem::path& path);
  /// Never waits. What is no regular file is `damaged`.
  static PosixFile open_for_reading(const std::filesystem::path& path);

  /// Asks for O_DIRECT; false where the file system does not take it, or is in memory and would copy
  /// all the same.
  bool set_direct(bool direct);
  [[nodiscard]] bool is_direct() const noexcept { return is_direct_; }

  /// Transfers exactly `bytes` at `offset`. A file that ends before is `damaged`.
  void read(std::span<std::byte> bytes, std::uint64_t offset) const;
  void write(std::span<const std::byte> bytes, std::uint64_t offset) const;

  /// Throws `no_space` where the device has fewer bytes free.
  void require_free(std::uint64_t bytes) const;
  /// Gives the file its length with space reserved on the device. False: this file system does not
  /// reserve; then the free space was looked at and the length set.
  bool reserve(std::uint64_t length) const;
  void truncate(std::uint64_t length) const;
  /// Never to be tried again after it failed: the data it was about may be gone.
  void sync() const;
  [[nodiscard]] std::uint64_t size() const;
  /// Whether its path still leads to this file: not removed, renamed or replaced meanwhile.
  [[nodiscard]] bool is_at_its_path() const noexcept;
  /// Takes a lock that any number of writers hold together and that the death of the process
  /// releases. Held until the file is closed. False: somebody holds the exclusive one. Where the
  /// file system has no locks there is nothing to hold, and nobody to find it missing.
  [[nodiscard]] bool try_lock_shared() const;
  /// Gives back what this file holds.
  void unlock() const noexcept;
  /// Tries for the lock that nobody else holds. Throws where the file system has no locks.
  [[nodiscard]] bool try_lock_exclusive() const;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }

 private:
  PosixFile(const std::filesystem::path& path, int flags, const char* verb,
            ErrorCode absent = ErrorCode::not_found);

  [[nodiscard]] bool is_in_memory() const noexcept;

  Descriptor fd_;
  std::filesystem::path path_;
  bool is_direct_ = false;
};

/// Throws the `Error` for `errno` value `error`: "cannot <verb> <path>: <why>". `absent`: what it
/// is that something on the path is not there.
[[noreturn]] void throw_io_error(int error, const std::string& verb,
                                 const std::filesystem::path& path,
                                 ErrorCode absent = ErrorCode::not_found);

/// Makes the entries of a directory durable.
void sync_directory(const std::filesystem::path& directory);
/// Renames within one file system, replacing a file at `to`.
void rename_entry(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace cairn::storage
