#include "policy/file_systems.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn::policy {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Optional;

constexpr std::uint32_t kNfs = 0x6969;  // as statfs(2) has them
constexpr std::uint32_t kLustre = 0x0BD00BD0;
constexpr std::uint32_t kExt4 = 0xEF53;
constexpr std::uint32_t kTmpfs = 0x01021994;

constexpr FileSystem kNetwork{FileSystemKind::network, "NFS"};

TEST(FileSystems, NumberTellsTheKind) {
  EXPECT_EQ(file_system_of(kNfs), kNetwork);
  EXPECT_EQ(file_system_of(kLustre), (FileSystem{FileSystemKind::parallel, "Lustre"}));
  EXPECT_EQ(file_system_of(kTmpfs), (FileSystem{FileSystemKind::memory, "tmpfs"}));
}

TEST(FileSystems, UnknownNumberIsLocal) {
  EXPECT_EQ(file_system_of(kExt4).kind, FileSystemKind::local);
  EXPECT_EQ(file_system_of(0).kind, FileSystemKind::local);
}

TEST(FileSystems, DirectFromSeveralHostsToANetworkIsRefusedWithAdvice) {
  EXPECT_THAT(objection_to(Writer::direct, kNetwork, 2),
              Optional(AllOf(HasSubstr("2 hosts"), HasSubstr("NFS"), HasSubstr("direct"),
                             HasSubstr("take the writer mpiio"))));
}

TEST(FileSystems, OneHostWritesWhereItLikes) {
  for (const auto writer : {Writer::direct, Writer::hdf5, Writer::mpiio}) {
    EXPECT_EQ(objection_to(writer, kNetwork, 1), std::nullopt) << to_string(writer);
  }
}

TEST(FileSystems, WritersThroughMpiIoWriteFromSeveralHosts) {
  EXPECT_EQ(objection_to(Writer::mpiio, kNetwork, 64), std::nullopt);
  EXPECT_EQ(objection_to(Writer::hdf5, kNetwork, 64), std::nullopt);
}

TEST(FileSystems, OnlyANetworkIsObjectedTo) {
  for (const auto kind : {FileSystemKind::local, FileSystemKind::parallel}) {
    EXPECT_EQ(objection_to(Writer::direct, {kind, "any"}, 64), std::nullopt);
  }
}

}  // namespace
}  // namespace cairn::policy
