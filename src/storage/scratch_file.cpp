#include "storage/scratch_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

Descriptor make_memory_file() {
  Descriptor fd(::memfd_create("cairn-scratch", MFD_CLOEXEC));
  if (!fd.valid()) throw_io_error(errno, "make a file in memory", "cairn-scratch");
  return fd;
}

}  // namespace

ScratchFile::ScratchFile()
    : fd_(make_memory_file()),
      file_(PosixFile::open_for_writing("/proc/self/fd/" + std::to_string(fd_.get()))) {}

bool ScratchFile::has_data_from(std::uint64_t offset) const {
  if (::lseek(file_.descriptor(), static_cast<off_t>(offset), SEEK_DATA) >= 0) return true;
  if (errno != ENXIO) throw_io_error(errno, "look for data in", file_.path());
  return false;
}

}  // namespace cairn::storage
