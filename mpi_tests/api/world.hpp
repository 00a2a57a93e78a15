#pragma once

#include <gtest/gtest.h>
#include <mpi.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cairn/cairn.hpp"

namespace cairn::test {

inline int rank_of(MPI_Comm comm = MPI_COMM_WORLD) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return rank;
}

inline int size_of_world() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// The text of rank 0 on every rank.
inline std::string share(std::string text) {
  auto length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD);
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD);
  return text;
}

/// A directory that all ranks share, removed at the end.
class World : public ::testing::Test {
 protected:
  World() {
    std::string name = (std::filesystem::temp_directory_path() / "cairn-XXXXXX").string();
    if (rank() == 0 && ::mkdtemp(name.data()) == nullptr) name = "/nowhere";
    directory_ = share(name);
  }
  ~World() override {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank() == 0) std::filesystem::remove_all(directory_);
    MPI_Barrier(MPI_COMM_WORLD);
  }

  static int rank() { return rank_of(); }
  static int ranks() { return size_of_world(); }
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  /// Runs `step` on rank 0 between two barriers: what it changes on disk is there for all.
  static void on_root(const std::function<void()>& step) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank() == 0) step();
    MPI_Barrier(MPI_COMM_WORLD);
  }

  /// The names in the directory, sorted; the same on every rank. Not those of what is being deleted:
  /// that goes in the background.
  [[nodiscard]] std::vector<std::string> names() const {
    MPI_Barrier(MPI_COMM_WORLD);
    std::string all;
    if (rank() == 0) {
      std::vector<std::string> found;
      for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(".trash-")) found.push_back(name);
      }
      std::ranges::sort(found);
      for (const std::string& name : found) all += name + "\n";
    }
    all = share(all);
    std::vector<std::string> list;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = all.find('\n', at);
      list.push_back(all.substr(at, end - at));
      at = end + 1;
    }
    return list;
  }

 private:
  std::filesystem::path directory_;
};

/// Runs a collective call that must fail: with this code, with a message that holds `words`, and
/// with the very same message on every rank.
inline void expect_error(const std::function<void()>& call, ErrorCode code,
                         const std::vector<std::string>& words) {
  std::string text = "no error";
  int found = -1;
  try {
    call();
  } catch (const Error& error) {
    text = error.what();
    found = static_cast<int>(error.code());
  }
  EXPECT_EQ(found, static_cast<int>(code)) << text;
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos) << "\"" << word << "\" is not in: " << text;
  }
  EXPECT_EQ(text, share(text)) << "differs from rank 0's";
}

}  // namespace cairn::test
