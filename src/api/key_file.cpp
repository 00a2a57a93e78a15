#include <string>

#include "cairn/error.hpp"
#include "cairn/key.hpp"
#include "storage/posix_file.hpp"

namespace cairn {

Key read_key_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kLargest = 4096;
  const storage::PosixFile file = storage::PosixFile::open_for_reading(path);
  const std::uint64_t bytes = file.size();
  if (bytes == 0 || bytes > kLargest) {
    throw Error(ErrorCode::invalid_argument, path.string() + " has " + std::to_string(bytes) +
                                                 " bytes; a key file holds a line of hexadecimal "
                                                 "digits, two a byte of the key");
  }
  // The digits, too, lie in memory that is wiped and kept out of core dumps.
  const Key digits = Key::with_bytes(
      bytes, [&](std::span<std::byte> page) { file.read(page, 0); });
  try {
    return Key::from_hex({reinterpret_cast<const char*>(digits.bytes().data()), bytes});
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
}

}  // namespace cairn
