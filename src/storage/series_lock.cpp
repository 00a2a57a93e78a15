#include "storage/series_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

PosixFile open_or_create(const fs::path& path) {
  for (;;) {
    try {
      return PosixFile::create(path);
    } catch (const Error&) {
      if (!fs::exists(path)) throw;
    }
    try {
      return PosixFile::open_for_writing(path);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;  // else it went in between
    }
  }
}

/// Whether `path` is still the file that is open: its holder removes it when it is done.
bool is_current(const PosixFile& file, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file.descriptor(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

std::string holder_text(const PosixFile& file) {
  constexpr std::uint64_t kMost = 512;
  std::vector<std::byte> text(std::min(file.size(), kMost));
  file.read(text, 0);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

}  // namespace

SeriesLock::SeriesLock(const fs::path& directory, const std::string& series,
                       const policy::TemporaryName& holder, std::chrono::milliseconds patience)
    : path_(directory / policy::lock_name(series)) {
  constexpr std::chrono::milliseconds kBetweenTries{20};
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    PosixFile file = open_or_create(path_);
    if (!file.try_lock_exclusive()) {
      if (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(kBetweenTries);
        continue;
      }
      throw Error(ErrorCode::invalid_argument, "series \"" + series + "\" in " +
                                                   directory.string() + " is in use by " +
                                                   holder_text(file));
    }
    if (!is_current(file, path_)) continue;
    const std::string text = "host " + holder.host + ", process " + std::to_string(holder.pid);
    file.truncate(0);
    file.write(std::as_bytes(std::span(text)), 0);
    file_.emplace(std::move(file));
    return;
  }
}

SeriesLock::~SeriesLock() {
  std::error_code ignored;
  fs::remove(path_, ignored);  // while it is held: nobody else can have it meanwhile
}

}  // namespace cairn::storage
