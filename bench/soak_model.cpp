#include "soak_model.hpp"

#include <algorithm>
#include <fstream>

#include "failure.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;

/// The file itself, or one of the directory's.
fs::path some_file(const fs::path& path, std::mt19937_64& chance) {
  if (!fs::is_directory(path)) return path;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files.at(chance() % files.size());
}

void flip_a_byte(const fs::path& path, std::mt19937_64& chance) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto place = static_cast<std::streamoff>(chance() % fs::file_size(path));
  file.seekg(place);
  const int byte = file.get();
  file.seekp(place);
  file.put(static_cast<char>(byte ^ static_cast<int>(1U << (chance() % 8))));
}

/// A name without its suffix: the kinds of one name are one checkpoint.
std::string stem(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.substr(0, name.find('.'));
}

}  // namespace

void SoakModel::begun(std::uint64_t sequence) { last_begun_ = std::max(last_begun_, sequence); }

void SoakModel::committed(std::uint64_t sequence, const fs::path& path) {
  std::erase_if(saved_, [&](const Saved& one) {
    return stem(one.path) == stem(path) || one.sequence >= sequence;
  });
  saved_.push_back({sequence, path});
}

std::uint64_t SoakModel::newest_whole() const {
  const auto newest = std::find_if(saved_.rbegin(), saved_.rend(),
                                   [](const Saved& one) { return !one.damaged; });
  return newest == saved_.rend() ? 0 : newest->sequence;
}

void SoakModel::restored(std::uint64_t sequence, bool right, const std::string& told) {
  const std::string what = directory_.string() + ": \"" + told + "\", committed was sequence " +
                           std::to_string(newest_whole()) + ", begun " +
                           std::to_string(last_begun_);
  if (!right) throw Failure("wrong values: " + what);
  if (sequence < newest_whole()) throw Failure("LOST: " + what);
  if (sequence > last_begun_) throw Failure("found what was never begun: " + what);
  // A save that was killed may have been published before it was told of: it counts from here on.
  last_begun_ = std::max(sequence, newest_whole());
}

bool SoakModel::damage(std::mt19937_64& chance) {
  const auto is_whole = [](const Saved& one) { return !one.damaged && fs::exists(one.path); };
  if (std::ranges::count_if(saved_, is_whole) < 2) return false;
  const auto newest = std::find_if(saved_.rbegin(), saved_.rend(), is_whole);
  const fs::path file = some_file(newest->path, chance);
  if (has_checksums_ && chance() % 2 == 0) {
    flip_a_byte(file, chance);
  } else {
    fs::resize_file(file, chance() % fs::file_size(file));
  }
  newest->damaged = true;
  return true;
}

}  // namespace bench
