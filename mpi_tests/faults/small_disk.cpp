#include "faults/small_disk.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{10};

bool succeeds(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT: of a test
}

/// The first line that it prints.
std::string line_of(const std::string& command) {
  std::array<char, 256> line{};
  FILE* const out = ::popen((command + " 2>/dev/null").c_str(), "r");  // NOLINT: of a test
  if (out == nullptr) return "";
  const char* const got = std::fgets(line.data(), static_cast<int>(line.size()), out);
  ::pclose(out);
  const std::string text = got != nullptr ? got : "";
  return text.substr(0, text.find('\n'));
}

/// What the kernel has not let go of yet it does soon.
template <class Try>
bool succeeds_in_time(Try&& attempt) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!attempt()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  return true;
}

}  // namespace

SmallDisk::SmallDisk(Type type, fs::path directory)
    : type_(type), directory_(std::move(directory)) {
  fs::create_directories(directory_);
  if (type_ == Type::ext4) {
    const std::string image = directory_.string() + ".image";
    { const std::ofstream made(image); }
    fs::resize_file(image, kBytes);
    if (!succeeds("PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F " + image)) {
      missing_ = "mkfs.ext4 fails";
      return;
    }
    // A device of its own, kept while it is mounted anew: one that goes with its file system is still
    // going when the next is wanted.
    device_ = line_of("PATH=$PATH:/sbin:/usr/sbin losetup --find --show " + image);
    if (device_.empty()) {
      missing_ = "there is no loop device";
      return;
    }
  }
  if (!mount()) missing_ = std::string("cannot mount it: ") + std::strerror(errno);
}

SmallDisk::~SmallDisk() {
  if (missing_.empty()) ::umount2(directory_.c_str(), MNT_DETACH);
  if (!device_.empty()) succeeds("PATH=$PATH:/sbin:/usr/sbin losetup --detach " + device_);
}

bool SmallDisk::mount() const {
  const char* const place = directory_.c_str();
  return type_ == Type::tmpfs ? ::mount("tmpfs", place, "tmpfs", 0, "size=64m") == 0
                              : ::mount(device_.c_str(), place, "ext4", 0, "errors=remount-ro") == 0;
}

void SmallDisk::remount() const {
  const bool done =
      succeeds_in_time([this] { return ::umount2(directory_.c_str(), 0) == 0; }) &&
      succeeds_in_time([this] { return mount(); });
  if (!done) throw std::runtime_error("cannot mount " + device_ + " anew: " + std::strerror(errno));
}

bool SmallDisk::turn_read_only() const {
  struct stat info {};
  if (::stat(directory_.c_str(), &info) != 0) return false;
  const std::string number =
      std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  std::error_code failed;
  const fs::path device = fs::canonical("/sys/dev/block/" + number, failed);
  if (failed) return false;
  std::ofstream trigger("/sys/fs/ext4/" + device.filename().string() + "/trigger_fs_error");
  trigger << "cairn's test of a failing device" << std::flush;
  return bool(trigger);
}

void SmallDisk::fill() const {
  const int fd = ::open((directory_ / "filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::array<char, 65536> bytes{};
  std::size_t piece = bytes.size();
  while (piece > 0) {
    if (::write(fd, bytes.data(), piece) <= 0) piece /= 2;
  }
  ::close(fd);
}

}  // namespace cairn::faults
