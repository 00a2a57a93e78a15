#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "policy/names.hpp"
#include "storage/image.hpp"
#include "storage/sample_image.hpp"
#include "storage/scratch_directory.hpp"

namespace cairn::testing {

/// This process as a job of run 0123… on host "here" outside of any batch system.
inline policy::TemporaryName sample_identity() {
  policy::TemporaryName identity;
  identity.run = "0123456789abcdef";
  identity.host = "here";
  identity.pid = static_cast<std::uint64_t>(::getpid());
  return identity;
}

/// A directory with files that hold short texts, or checkpoints without tensors.
class DirectoryTest : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;

  [[nodiscard]] std::filesystem::path at(const std::string& name) const {
    return directory_ / name.c_str();
  }

  void put(const std::string& name, const std::string& text) const {
    std::filesystem::remove(at(name));
    const auto file = storage::PosixFile::create(at(name));
    file.write(std::as_bytes(std::span(text)), 0);
  }

  /// The text in a file; "-" where there is none.
  [[nodiscard]] std::string text_in(const std::string& name) const {
    if (!std::filesystem::exists(at(name))) return "-";
    const auto file = storage::PosixFile::open_for_reading(at(name));
    std::string text(file.size(), ' ');
    file.read(std::as_writable_bytes(std::span(text)), 0);
    return text;
  }

  [[nodiscard]] bool exists(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(at(name)));
  }

  /// Everything in the directory or one below, by name.
  [[nodiscard]] Names names(const std::string& below = "") const {
    Names all;
    for (const auto& entry : std::filesystem::directory_iterator(at(below))) {
      all.push_back(entry.path().filename().string());
    }
    std::ranges::sort(all);
    return all;
  }

  /// What a checkpoint of that name says of itself.
  static storage::Record record_for(const std::string& name, std::uint64_t sequence) {
    const auto parsed = policy::parse_checkpoint_name(name);
    storage::Record record;
    if (!parsed) return record;
    record.series = parsed->series;
    record.epoch = parsed->epoch;
    record.step = parsed->step_in_epoch;
    record.step_in_epoch = parsed->step_in_epoch;
    record.kind = parsed->breakpoint ? storage::CheckpointKind::breakpoint
                                     : storage::CheckpointKind::periodic;
    record.sequence = sequence;
    record.saved_at = Time(std::chrono::seconds(1'700'000'000 + sequence));
    return record;
  }

  void put_checkpoint(const std::string& name, std::uint64_t sequence) const {
    put_image(name, record_for(at(name).filename().string(), sequence));
  }
  void put_image(const std::string& name, const storage::Record& record) const {
    write_image(at(name), layout(), record);
  }
  /// An image with a byte of its record changed.
  void put_damaged(const std::string& name) const {
    put_checkpoint(name, 1);
    const auto file = storage::PosixFile::open_for_writing(at(name));
    const std::byte wrong{0x5A};
    file.write({&wrong, 1}, file.size() - 100);
  }

  static const storage::ImageLayout& layout() {
    static const storage::ImageLayout of_nothing = storage::lay_out({}, 1 << 16);
    return of_nothing;
  }

  ScratchDirectory directory_;
};

}  // namespace cairn::testing
