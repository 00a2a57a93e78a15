// Verifying a checkpoint:
//
// 1. Survey: all structure is read and checked. What is whole of it says which blocks there are.
// 2. The blocks of all files stand in one row, of which each rank takes a contiguous range.
// 3. In rounds every rank reads some of its own. Between rounds all meet for a moment: so rank 0
//    knows how far they are, and nobody waits longer for a slow rank than a round takes.
// 4. Rank 0 puts together what was found, with the tensors that are hit, and tells all.
#include "coord/verifier.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <tuple>

#include "codec/crc32.hpp"
#include "codec/seal.hpp"
#include "coord/damage_wire.hpp"
#include "coord/survey.hpp"
#include "coord/together.hpp"
#include "storage/aligned_buffer.hpp"
#include "storage/block_io.hpp"
#include "storage/posix_file.hpp"

namespace cairn::coord {
namespace {

/// Bytes that a rank reads in a round, and the most that it holds in buffers, unless a block is
/// larger.
constexpr std::uint64_t kRoundBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kBufferBytes = std::uint64_t{32} << 20;

using ProgressFunction = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// A block of the row.
struct Block {
  std::uint64_t file = 0;
  std::uint64_t number = 0;
};

/// What was wrong with one.
struct BadBlock {
  Block block;
  std::string reason;
};

std::uint64_t bytes_of(const SurveyedFile& file, std::uint64_t number) {
  return std::min(file.block_bytes, file.bytes - number * file.block_bytes);
}

std::uint32_t crc_of(std::span<const std::byte> mark) {
  std::uint32_t crc = 0;
  std::memcpy(&crc, mark.data(), sizeof crc);
  return crc;
}

/// Reads this rank's blocks, so many at a time, and checks each.
class BlockReader final : private storage::BlockFilter {
 public:
  BlockReader(const Survey& survey, Key key, int rank, int ranks)
      : survey_(survey), key_(std::move(key)), io_(Direction::read, this) {
    std::uint64_t blocks = 0;
    std::uint64_t largest = 0;
    for (const SurveyedFile& file : survey.files) {
      blocks += file.blocks();
      largest = std::max(largest, std::min(file.block_bytes, file.bytes));
    }
    const auto part = static_cast<std::uint64_t>(rank);
    const auto parts = static_cast<std::uint64_t>(ranks);
    last_ = place_of(blocks * (part + 1) / parts);
    next_ = place_of(blocks * part / parts);
    if (done()) return;
    const std::uint64_t count = std::clamp<std::uint64_t>(kBufferBytes / largest, 2, 8);
    for (std::uint64_t i = 0; i < count; ++i) slots_.push_back({AlignedBuffer(largest), {}, nullptr, false});
  }

  [[nodiscard]] bool done() const { return next_.file == last_.file && next_.number == last_.number; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
  [[nodiscard]] const std::vector<BadBlock>& bad() const noexcept { return bad_; }

  /// Reads blocks of `quota` bytes together, or what is left.
  void read_some(std::uint64_t quota) {
    std::vector<std::size_t> free(slots_.size());
    std::iota(free.begin(), free.end(), std::size_t{0});
    std::uint64_t begun = 0;
    while ((begun < quota && !done()) || free.size() < slots_.size()) {
      while (!free.empty() && begun < quota && !done()) {
        begun += start(free.back());
        free.pop_back();
      }
      if (const auto completed = io_.poll()) {
        take(*completed);
        free.push_back(completed->token);
      } else {
        io_.wait(std::chrono::seconds(1));
      }
    }
  }

 private:
  using AlignedBuffer = storage::AlignedBuffer;
  using Direction = storage::BlockIo::Direction;
  using Completion = storage::BlockIo::Completion;

  struct Slot {
    AlignedBuffer buffer;
    Block block;
    const codec::Seal* seal = nullptr;  ///< where its file is sealed
    bool busy = false;
  };
  struct OpenFile {
    /// The device is asked, not the page cache: that may hold what the disk has lost.
    std::optional<storage::PosixFile> direct;
    storage::PosixFile buffered;
    std::unique_ptr<codec::Seal> seal;
  };

  /// On the threads of `io_`; `position` is the slot's.
  void apply(std::span<std::byte> bytes, std::uint64_t position) override {
    const Slot& slot = slots_[position];
    const SurveyedFile& file = survey_.files[slot.block.file];
    if (file.verified == Verified::structure) return;
    const std::size_t size = file.marks.size() / file.blocks();
    const auto mark =
        std::span<const std::byte>(file.marks).subspan(slot.block.number * size, size);
    if (slot.seal != nullptr) {
      if (slot.seal->open(slot.block.number, file.sealed.header, bytes, mark)) return;
      throw Error(ErrorCode::damaged, "it is not what was sealed there: its tag is wrong");
    }
    const std::uint32_t found = codec::crc32(bytes);
    if (found == crc_of(mark)) return;
    throw Error(ErrorCode::damaged, "its CRC is " + std::to_string(found) + ", expected " +
                                        std::to_string(crc_of(mark)));
  }

  [[nodiscard]] Block place_of(std::uint64_t in_row) const {
    Block place;
    for (; place.file < survey_.files.size(); ++place.file) {
      const std::uint64_t blocks = survey_.files[place.file].blocks();
      if (in_row < blocks) break;
      in_row -= blocks;
    }
    place.number = in_row;
    return place;
  }

  OpenFile& open(std::uint64_t file) {
    if (const auto at = open_.find(file); at != open_.end()) return at->second;
    close_idle();
    const SurveyedFile& surveyed = survey_.files[file];
    OpenFile opened{storage::PosixFile::open_for_reading(surveyed.path),
                    storage::PosixFile::open_for_reading(surveyed.path), nullptr};
    if (!opened.direct->set_direct(true)) opened.direct.reset();
    if (surveyed.verified == Verified::seal) {
      opened.seal = std::make_unique<codec::Seal>(key_, surveyed.enc_mode, surveyed.sealed.id);
    }
    return open_.emplace(file, std::move(opened)).first->second;
  }

  void close_idle() {
    std::erase_if(open_, [&](const auto& opened) {
      return std::ranges::none_of(slots_, [&](const Slot& slot) {
        return slot.busy && slot.block.file == opened.first;
      });
    });
  }

  /// Begins to read the next block; returns its bytes.
  std::uint64_t start(std::size_t slot) {
    const Block block = next_;
    const SurveyedFile& file = survey_.files[block.file];
    const std::uint64_t bytes = bytes_of(file, block.number);
    if (++next_.number == file.blocks()) next_ = {next_.file + 1, 0};
    const OpenFile& opened = open(block.file);
    slots_[slot].block = block;
    slots_[slot].seal = opened.seal.get();
    slots_[slot].busy = true;
    const bool aligned = opened.direct && bytes % storage::kDirectAlignment == 0;
    io_.submit(aligned ? *opened.direct : opened.buffered,
               slots_[slot].buffer.bytes().first(bytes),
               file.offset + block.number * file.block_bytes, slot, slot);
    return bytes;
  }

  void take(const Completion& completed) {
    const Block block = slots_[completed.token].block;
    slots_[completed.token].busy = false;
    bytes_ += bytes_of(survey_.files[block.file], block.number);
    ++blocks_;
    if (completed.error) bad_.push_back({block, completed.error->what()});
  }

  const Survey& survey_;
  Key key_;
  Block next_;
  Block last_;
  std::vector<Slot> slots_;
  std::map<std::uint64_t, OpenFile> open_;
  std::uint64_t bytes_ = 0;
  std::uint64_t blocks_ = 0;
  std::vector<BadBlock> bad_;
  storage::BlockIo io_;  // last: its threads end before what they read into goes
};

/// Collective. Reads all blocks; returns those that are bad, on rank 0 those of all ranks.
std::vector<BadBlock> read_all(const Comm& comm, const Survey& survey,
                               const Key& key, const ProgressFunction& progress,
                               VerifyReport& report) {
  std::uint64_t total = 0;
  std::uint64_t largest = 0;
  for (const SurveyedFile& file : survey.files) {
    total += file.bytes;
    largest = std::max(largest, file.block_bytes);
  }
  const auto tell = [&] {
    if (comm.rank() == 0 && progress) progress(report.bytes, total);
  };
  std::optional<BlockReader> reader;
  run_together(comm, [&] { reader.emplace(survey, key, comm.rank(), comm.size()); });
  for (std::uint64_t left = 1; left > 0;) {
    run_together(comm, [&] {
      tell();
      reader->read_some(std::max(kRoundBytes, largest));
    });
    std::array<std::uint64_t, 3> sums{reader->bytes(), reader->blocks(), reader->done() ? 0U : 1U};
    comm.allreduce(std::span<std::uint64_t>(sums), MPI_SUM);
    std::tie(report.bytes, report.blocks, left) = std::tie(sums[0], sums[1], sums[2]);
  }
  run_together(comm, tell);
  WireWriter writer;
  for (const BadBlock& bad : reader->bad()) writer.put(bad.block).put_text(bad.reason);
  std::vector<BadBlock> all;
  for (const Bytes& bytes : comm.gather(writer.take())) {
    for (WireReader wire(bytes); !wire.done();) {
      const auto block = wire.get<Block>();
      all.push_back({block, wire.get_text()});
    }
  }
  return all;
}

/// Of all files together.
Verified verified(const Survey& survey) {
  if (survey.files.empty()) return Verified::structure;
  return std::ranges::min(survey.files, {}, &SurveyedFile::verified).verified;
}

/// Rank 0.
Damage damage_of(const Survey& survey, const BadBlock& bad) {
  const SurveyedFile& file = survey.files[bad.block.file];
  const std::uint64_t first = bad.block.number * file.block_bytes;
  const std::uint64_t bytes = bytes_of(file, bad.block.number);
  Damage damage{file.path, file.offset + first, bytes, bad.reason, {}};
  for (const SurveyedRange& range : survey.ranges) {
    if (range.file == bad.block.file && range.first < first + bytes && first < range.last) {
      damage.tensors.push_back(range.tensor);
    }
  }
  std::ranges::sort(damage.tensors);
  const auto twice = std::ranges::unique(damage.tensors);
  damage.tensors.erase(twice.begin(), twice.end());
  return damage;
}

/// Rank 0's list of what is damaged, and the rest that it alone knows, everywhere.
void share(const Comm& comm, VerifyReport& report) {
  WireWriter writer;
  writer.put(report.misnamed.has_value()).put_text(report.misnamed.value_or(""));
  for (const Damage& damage : report.damage) put_damage(writer, damage);
  const Bytes told = comm.broadcast(writer.take());
  WireReader reader(told);
  const bool misnamed = reader.get<bool>();
  std::string name = reader.get_text();
  report.misnamed.reset();
  if (misnamed) report.misnamed = std::move(name);
  report.damage.clear();
  while (!reader.done()) report.damage.push_back(get_damage(reader));
}

}  // namespace

VerifyReport verify_checkpoint(const Comm& comm, const std::filesystem::path& path,
                               const storage::Unlock& unlock, const ProgressFunction& progress) {
  const Survey found = survey(comm, path, unlock);
  VerifyReport report;
  report.path = found.path;
  report.files = found.file_count;
  report.misnamed = found.misnamed;
  report.lone = found.lone;
  report.verified = verified(found);
  const std::vector<BadBlock> bad = read_all(comm, found, unlock.enc_key, progress, report);
  run_on_root(comm, [&] {
    report.damage = found.damage;
    for (const BadBlock& block : bad) report.damage.push_back(damage_of(found, block));
    std::ranges::stable_sort(report.damage, [](const Damage& a, const Damage& b) {
      return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
    });
  });
  share(comm, report);
  return report;
}

}  // namespace cairn::coord
