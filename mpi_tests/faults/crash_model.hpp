// What a crash may leave of a directory, given the log of what was done to it.
//
// The model is harsher than any file system that we know of:
// - What is written to a file is durable after a sync of that file by the same rank: each rank is
//   on a host of its own, with a cache of its own. Before, each sector of 512 bytes is there or not.
// - A file's length is apart from its data: any of those since the last sync may be the one left.
// - An entry of a directory is durable after a sync of that directory. Before, each change is made
//   or not, in any order; a rename is made as a whole. To sync a file says nothing about its entry.
// - What was never written reads as zeros.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "faults/log.hpp"

namespace cairn::faults {

/// What became of the changes that were not durable.
enum class Fate : std::uint8_t {
  all_kept,       ///< the processes died, the machine did not
  all_lost,
  data_lost,      ///< lengths and names were kept
  data_and_length_lost,
  names_lost,     ///< data and lengths were kept
  outer_names_lost,  ///< as names_lost, but directories that hold no other ones kept theirs
  names_in_order, ///< any data; the first so many changes of each directory
  by_chance,      ///< any data; any changes of each directory
};

/// A directory as it may be after a crash: files by path, directories with a path that ends in '/'.
using Tree = std::map<std::string, std::vector<std::byte>>;

class CrashModel {
 public:
  CrashModel();
  ~CrashModel();
  CrashModel(const CrashModel&) = delete;
  CrashModel& operator=(const CrashModel&) = delete;

  /// The next thing that was done. Entries of the log must stay where they are.
  void apply(const Entry& entry);
  [[nodiscard]] Tree crash(Fate fate, std::mt19937_64& chance) const;

 private:
  struct Node;
  struct Change;
  [[nodiscard]] std::shared_ptr<Node> find(std::string_view path) const;
  [[nodiscard]] std::shared_ptr<Node> parent_of(std::string_view path) const;
  void add(std::string_view path, std::shared_ptr<Node> node);
  void collect(const Node& directory, const std::string& path, Fate fate, std::mt19937_64& chance,
               Tree& tree) const;

  std::shared_ptr<Node> root_;
  std::map<std::uint64_t, std::shared_ptr<Node>> by_number_;  ///< those that were made last
};

/// The same for equal trees.
std::uint64_t digest_of(const Tree& tree);
/// Makes `directory`, which must not exist, hold it.
void lay_out(const Tree& tree, const std::filesystem::path& directory);
/// What `directory` holds now.
Tree tree_at(const std::filesystem::path& directory);

}  // namespace cairn::faults
