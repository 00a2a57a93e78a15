// A job on several hosts over NFS, played on one: statfs and MPI_Get_processor_name say so, and (in
// CMakeLists.txt) Open MPI is told to lock the whole file to write, as it does on NFS.
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "api/world.hpp"

namespace {

bool is_nfs = false;
bool is_several_hosts = false;
int writes_to_failure = -1;  ///< of this rank; negative: none fails

/// Whether this write fails: no space on the server, which NFS tells at any time.
bool fails() {
  return writes_to_failure >= 0 && writes_to_failure-- == 0;
}

}  // namespace

// The functions of these names, as every object of this program finds them first.
extern "C" {

int statfs(const char* path, struct statfs* info) noexcept {
  const auto failed = static_cast<int>(::syscall(SYS_statfs, path, info));
  if (failed == 0 && is_nfs) info->f_type = 0x6969;
  return failed;
}

int MPI_Get_processor_name(char* name, int* length) {
  const int failed = PMPI_Get_processor_name(name, length);
  if (is_several_hosts && cairn::test::rank_of() % 2 == 1) name[0] = '#';
  return failed;
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  if (!fails()) return ::syscall(SYS_pwrite64, fd, bytes, count, offset);
  errno = ENOSPC;
  return -1;
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  if (!fails()) return ::syscall(SYS_pwritev, fd, parts, count, offset, 0);
  errno = ENOSPC;
  return -1;
}

}  // extern "C"

namespace cairn::test {
namespace {

class Network : public World {
 protected:
  Network() {
    is_nfs = true;
    is_several_hosts = true;
    values_.assign(element_count(slice_.extent), static_cast<float>(rank()));
    state_.add("w", std::span(values_), slice_);
    options_.block_bytes = 65536;
    options_.staging_bytes = 1;
    options_.saved_at = Time(std::chrono::seconds(1000));
  }
  ~Network() override { is_nfs = is_several_hosts = false; }

  void save_by(Writer writer, const std::string& name) {
    options_.writer = writer;
    save(MPI_COMM_WORLD, path(name), state_, options_);
  }
  [[nodiscard]] std::string bytes_of(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Slice slice_ = split({512, 1024}, 1, rank(), ranks());
  std::vector<float> values_;
  State state_;
  SaveOptions options_;
};

TEST_F(Network, DirectFromTwoHostsIsRefusedBeforeAnythingIsThere) {
  expect_error([&] { save_by(Writer::direct, "new/x.h5"); }, ErrorCode::invalid_argument,
               {path("new/x.h5").string(), "2 hosts", "NFS", "take the writer mpiio"});
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(Network, DirectFromOneHostIsTaken) {
  is_several_hosts = false;
  save_by(Writer::direct, "x.h5");
  EXPECT_EQ(names(), std::vector<std::string>{"x.h5"});
}

TEST_F(Network, DirectFromTwoHostsIsTakenWhereNothingIsKnownAgainstIt) {
  is_nfs = false;
  save_by(Writer::direct, "x.h5");
  EXPECT_EQ(names(), std::vector<std::string>{"x.h5"});
}

TEST_F(Network, WritersThroughMpiIoGetTheLocksTheyWantAndWriteTheSameBytes) {
  save_by(Writer::mpiio, "mpiio.h5");
  save_by(Writer::hdf5, "hdf5.h5");
  is_several_hosts = false;
  save_by(Writer::direct, "direct.h5");
  on_root([&] {
    const std::string direct = bytes_of("direct.h5");
    EXPECT_GT(direct.size(), 512U * 1024U * 4U);
    EXPECT_EQ(bytes_of("mpiio.h5"), direct);
    EXPECT_EQ(bytes_of("hdf5.h5"), direct);
  });
}

TEST_F(Network, WriteThatFailsInsideMpiIoFailsTheSaveOnAllRanks) {
  if (ranks() > 2) {
    GTEST_SKIP() << "Open MPI gathers blocks before it writes then, and leaves the other ranks "
                    "waiting where that fails: docs/guide.md";
  }
  on_root([] { writes_to_failure = 5; });
  expect_error([&] { save_by(Writer::mpiio, "x.h5"); }, ErrorCode::io,
               {"rank ", "MPI-IO", ".tmp-", "x.h5"});
  EXPECT_LT(writes_to_failure, 0) << "nothing failed";
  EXPECT_EQ(names(), std::vector<std::string>{});
}

}  // namespace
}  // namespace cairn::test
