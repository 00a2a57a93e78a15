#pragma once

#include <memory>
#include <vector>

#include "cairn/key.hpp"
#include "codec/seal.hpp"
#include "coord/stored.hpp"
#include "storage/block_filter.hpp"

namespace cairn::coord {

/// Verifies each block that is read, by its CRC or its tag, and opens what is sealed.
class BlockCheck final : public storage::BlockFilter {
 public:
  /// `stored` must outlive it.
  BlockCheck(const Stored& stored, Key key) : stored_(stored), key_(std::move(key)) {
    seals_.resize(stored.sealed.size());
  }

  /// To be called before blocks of the file that `position` lies in are read: gets its keys ready.
  void prepare(std::uint64_t position);
  /// Throws `damaged` naming the file, the offset and the tensors that are hit.
  void apply(std::span<std::byte> bytes, std::uint64_t position) override;

 private:
  [[nodiscard]] std::size_t file_of(std::uint64_t position) const;
  void check_crc(std::span<const std::byte> bytes, std::uint64_t position,
                 std::span<const std::byte> mark) const;
  void open(std::span<std::byte> bytes, std::uint64_t position,
            std::span<const std::byte> mark) const;
  [[noreturn]] void refuse(std::uint64_t position, const std::string& why) const;

  const Stored& stored_;
  Key key_;
  std::vector<std::unique_ptr<codec::Seal>> seals_;  ///< by file
};

}  // namespace cairn::coord
