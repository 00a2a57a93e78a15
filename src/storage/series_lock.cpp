#include "storage/series_lock.hpp"

#include <algorithm>
#include <span>
#include <system_error>
#include <thread>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

/// What the holder wrote about itself.
std::string holder_text(const PosixFile& file) {
  constexpr std::uint64_t kMost = 512;
  std::string text(std::min(file.size(), kMost), ' ');
  try {
    file.read(std::as_writable_bytes(std::span(text)), 0);
  } catch (const Error&) {
    text.clear();  // it is about to write
  }
  return text.empty() ? "a job that has just begun" : text;
}

}  // namespace

SeriesLock::SeriesLock(const fs::path& directory, const std::string& series,
                       const policy::TemporaryName& holder, std::chrono::milliseconds patience)
    : path_(directory / policy::lock_name(series)) {
  constexpr std::chrono::milliseconds kBetweenTries{20};
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    PosixFile file = PosixFile::open_or_create(path_);
    if (!file.try_lock_exclusive()) {
      if (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(kBetweenTries);
        continue;
      }
      throw Error(ErrorCode::invalid_argument, "series \"" + series + "\" in " +
                                                   directory.string() + " is in use by " +
                                                   holder_text(file));
    }
    if (!file.is_at_its_path()) continue;  // its holder removed it when it was done
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
