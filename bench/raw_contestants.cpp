#include "raw_contestants.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "failure.hpp"

namespace bench {
namespace {

constexpr std::uint64_t kUnit = 4096;  // what O_DIRECT wants multiples of
constexpr std::size_t kMostRequestBytes = std::size_t{16} << 20;
constexpr int kMostRequests = 4;
/// What is tried: requests under way, and MiB of each.
constexpr std::array<std::pair<int, std::size_t>, 9> kManners{
    {{1, 1}, {1, 4}, {1, 16}, {2, 1}, {2, 4}, {2, 16}, {4, 1}, {4, 4}, {4, 16}}};
constexpr std::size_t kBufferBytes = kMostRequestBytes * kMostRequests;

/// A share that ends with this rank's part of a whole number of units.
std::uint64_t share_of(std::uint64_t bytes, const World& world) {
  const auto ranks = static_cast<std::uint64_t>(world.ranks());
  return (bytes / ranks + kUnit - 1) / kUnit * kUnit;
}

/// Bits that no device compresses.
void randomise(std::byte* bytes, std::size_t size, int rank) {
  std::uint64_t state = 0x9E3779B97F4A7C15U * static_cast<std::uint64_t>(rank + 1);
  for (std::size_t at = 0; at < size; at += sizeof state) {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    std::memcpy(bytes + at, &state, sizeof state);
  }
}

}  // namespace

class RawDevice::Writing : public Contestant {
 public:
  Writing(RawDevice& device, Copies copies)
      : device_(device), values_(device.values_for(copies)) {}
  Sample run() override { return device_.write(path_, values_); }
  void tidy() override { std::filesystem::remove(path_); }

 private:
  RawDevice& device_;
  std::byte* values_;
  std::filesystem::path path_ = device_.path("raw-write");
};

class RawDevice::Reading : public Contestant {
 public:
  Reading(RawDevice& device, Copies copies)
      : device_(device), values_(device.values_for(copies)) {
    static_cast<void>(device_.write(path_, values_));
  }
  Sample run() override { return device_.read(path_, values_); }

 private:
  RawDevice& device_;
  std::byte* values_;
  std::filesystem::path path_ = device_.path("raw-read");
};

RawDevice::RawDevice(const World& world, std::filesystem::path directory,
                     std::uint64_t bytes_of_all, Pages pages)
    : world_(world),
      directory_(std::move(directory)),
      share_(share_of(bytes_of_all, world)),
      pages_(pages),
      buffer_(map_memory(kBufferBytes, Pages::huge)) {
  if (!world.all(buffer_ != nullptr)) {
    throw Failure("there is no memory for the buffers of the raw limits");
  }
  randomise(buffer_.get(), kBufferBytes, world.rank());
  find_out_whether_direct();
  choose();
}

std::filesystem::path RawDevice::path(const char* what) const {
  if (!manner_.direct) return directory_ / what;
  return directory_ / (what + ("." + std::to_string(world_.rank())));
}

std::uint64_t RawDevice::origin() const {
  return manner_.direct ? 0 : static_cast<std::uint64_t>(world_.rank()) * share_;
}

void RawDevice::find_out_whether_direct() {
  const std::filesystem::path probe = path("raw-probe");
  const int file = ::open(probe.c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0666);
  // Since Linux 6.6 one in memory takes O_DIRECT, too, and copies all the same.
  struct statfs system {};
  const bool in_memory = file >= 0 && ::fstatfs(file, &system) == 0 &&
                         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
  if (file >= 0) ::close(file);
  std::filesystem::remove(probe);
  manner_.direct = world_.all(file >= 0 && !in_memory);
}

void RawDevice::choose() {
  const std::filesystem::path file = path("raw-warm-up");
  RawManner best = manner_;
  double best_seconds = 0;
  for (int turn = 0; turn < 3; ++turn) {
    for (const auto& [requests, mib] : kManners) {
      manner_.request_bytes = mib << 20U;
      manner_.requests = requests;
      const double seconds = write(file, values_for(Copies::no)).seconds;
      std::filesystem::remove(file);
      if (best.requests != 0 && seconds >= best_seconds) continue;
      best = manner_;
      best_seconds = seconds;
    }
  }
  manner_ = best;
}

/// Collective. The share that is copied from or to, by the system where it is not direct, touched
/// once; null for who copies nothing.
std::byte* RawDevice::values_for(Copies copies) {
  if (copies == Copies::no && manner_.direct) return nullptr;
  if (!values_) {
    values_ = map_memory(share_, pages_);
    if (!world_.all(values_ != nullptr)) throw Failure("there is no memory for a share to copy");
    randomise(values_.get(), share_, world_.rank());
  }
  return values_.get();
}

Sample RawDevice::write(const std::filesystem::path& path, std::byte* values) {
  bool written = false;
  const Sample sample = timed_together(world_, [&] {
    const int flags = O_CREAT | O_RDWR | O_CLOEXEC | (manner_.direct ? O_DIRECT | O_TRUNC : 0);
    const int file = ::open(path.c_str(), flags, 0666);
    if (file < 0) return;
    // On a file system in memory this would touch all of it twice.
    if (manner_.direct) {
      static_cast<void>(::fallocate(file, 0, 0, static_cast<off_t>(share_)));
    }
    written = move(file, Direction::write, values) && ::fsync(file) == 0;
    ::close(file);
  });
  if (!world_.all(written)) throw Failure("cannot write " + path.string());
  return sample;
}

Sample RawDevice::read(const std::filesystem::path& path, std::byte* values) {
  bool got = false;
  const Sample sample = timed_together(world_, [&] {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (manner_.direct ? O_DIRECT : 0));
    if (file < 0) return;
    got = move(file, Direction::read, values);
    ::close(file);
  });
  if (!world_.all(got)) throw Failure("cannot read " + path.string());
  return sample;
}

bool RawDevice::move(int file, Direction direction, std::byte* values) const {
  std::atomic<bool> moved{true};
  {
    std::vector<std::jthread> threads;
    for (int part = 1; part < manner_.requests; ++part) {
      threads.emplace_back([&, part] {
        if (!move_part(file, direction, part, values)) moved = false;
      });
    }
    if (!move_part(file, direction, 0, values)) moved = false;
  }
  return moved;
}

/// Every `requests`-th request, from the `part`-th on.
bool RawDevice::move_part(int file, Direction direction, int part, std::byte* values) const {
  std::byte* const buffer = buffer_.get() + static_cast<std::size_t>(part) * kMostRequestBytes;
  const bool copies = values != nullptr && manner_.direct;  // else the system does
  const std::uint64_t size = manner_.request_bytes;
  const std::uint64_t stride = size * static_cast<std::uint64_t>(manner_.requests);
  for (std::uint64_t at = static_cast<std::uint64_t>(part) * size; at < share_; at += stride) {
    const std::size_t n = std::min(size, share_ - at);
    const bool writes = direction == Direction::write;
    std::byte* const bytes = manner_.direct ? buffer : values + at;
    const auto place = static_cast<off_t>(origin() + at);
    if (copies && writes) std::memcpy(buffer, values + at, n);
    const ssize_t done =
        writes ? ::pwrite(file, bytes, n, place) : ::pread(file, bytes, n, place);
    if (done != static_cast<ssize_t>(n)) return false;
    if (copies && !writes) std::memcpy(values + at, buffer, n);
  }
  return true;
}

std::unique_ptr<Contestant> RawDevice::writing(Copies copies) {
  return std::make_unique<Writing>(*this, copies);
}

std::unique_ptr<Contestant> RawDevice::reading(Copies copies) {
  return std::make_unique<Reading>(*this, copies);
}

}  // namespace bench
