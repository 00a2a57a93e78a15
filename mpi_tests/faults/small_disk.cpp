#include "faults/small_disk.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace cairn::faults {
namespace {

namespace fs = std::filesystem;

bool succeeds(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT: of a test
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
  }
  mount();
}

SmallDisk::~SmallDisk() {
  if (missing_.empty()) unmount();
}

void SmallDisk::mount() {
  if (type_ == Type::tmpfs) {
    if (::mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=64m") == 0) return;
    missing_ = std::string("cannot mount a tmpfs: ") + std::strerror(errno);
    return;
  }
  if (succeeds("mount -o loop,errors=remount-ro " + directory_.string() + ".image " +
               directory_.string())) {
    return;
  }
  missing_ = "cannot mount a file by a loop device";
}

void SmallDisk::unmount() const { ::umount2(directory_.c_str(), MNT_DETACH); }

void SmallDisk::remount() {
  ::umount2(directory_.c_str(), 0);
  mount();
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
