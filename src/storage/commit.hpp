#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "policy/names.hpp"
#include "storage/posix_file.hpp"
#include "storage/trash.hpp"

namespace cairn::storage {

/// One attempt to bring a checkpoint under its final name: rank 0's part of a commit. Unless it is
/// published the temporary file is gone when this object is. commit.cpp tells the whole order.
class Commit {
 public:
  /// `identity` says whose temporary name it is. Throws `invalid_argument` where `final_path` is
  /// something that must not be replaced, or too long a name for what derives from it.
  Commit(std::filesystem::path final_path, policy::TemporaryName identity, bool durable);
  Commit(const Commit&) = delete;
  Commit& operator=(const Commit&) = delete;
  ~Commit();

  [[nodiscard]] const std::filesystem::path& temporary() const noexcept { return temporary_; }

  /// Makes the temporary file, held against sweeps by a lock.
  PosixFile create();
  /// Makes a temporary directory and in it a file of that name, which holds all of it against
  /// sweeps.
  PosixFile create_directory(const std::string& file_name);
  /// The file is complete and durable: gives it its final name. On Error the old checkpoint is back
  /// under its name, or the message says that this is not known.
  void publish();
  /// All ranks know that it is published: deletes what it replaced, or leaves that to `trash`.
  void discard_replaced(Trash* trash = nullptr) noexcept;

 private:
  struct Displaced {
    std::filesystem::path from;
    std::filesystem::path to;
  };

  template <class Make>
  PosixFile create_held(Make&& make);
  [[nodiscard]] std::vector<std::filesystem::path> kinds_of_name() const;
  void displace();
  /// Returns what could not be put back, for the message.
  std::string put_back();
  void sync_parent() const;

  std::filesystem::path final_;
  std::filesystem::path temporary_;
  policy::TemporaryName identity_;
  bool durable_;
  bool created_ = false;
  std::vector<Displaced> displaced_;
};

}  // namespace cairn::storage
