#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// What every map under test holds: embeddings of 16 floats, 64 bytes.
using Row = std::array<float, 16>;

enum class MapOperation : std::uint8_t {
  fill,   ///< put all keys into an empty map, without `reserve`
  get,    ///< rows of keys that are there, copied out
  miss,   ///< the same of keys that are not there
  put,    ///< replace rows of keys that are there
  erase,  ///< distinct keys that are there; they are put back afterwards, which is not timed
};

/// Of this thread's time on a processor: other programs may take that, but not from this count.
inline double processor_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// Something to do `keys.size()` times, and how many in one call.
struct MapTask {
  MapOperation operation = MapOperation::get;
  std::string keys_name;
  std::span<const std::int64_t> keys;
  std::size_t batch = 1;
};

/// A map under test, filled.
class MapContender {
 public:
  MapContender() = default;
  MapContender(const MapContender&) = delete;
  MapContender& operator=(const MapContender&) = delete;
  virtual ~MapContender() = default;
  /// What one of the task's operations takes.
  virtual double nanoseconds(const MapTask& task) = 0;
  /// The row of that key, or nothing but zeros.
  virtual Row row_of(std::int64_t key) = 0;
};

/// `Map` has `get`, `put` and `erase` of one key, and of spans of keys and rows. The loops below
/// are compiled for each of them, so that the compiler sees what it would see in a program.
template <class Map>
class TimedMap : public MapContender {
 public:
  TimedMap(std::span<const std::int64_t> keys, std::span<const Row> rows)
      : map_(std::make_unique<Map>()), rows_(rows) {
    put_all(*map_, keys, rows.size());
  }

  double nanoseconds(const MapTask& task) override {
    std::vector<Row> out(task.batch);
    Map empty;
    const double start = processor_nanoseconds();
    switch (task.operation) {
      case MapOperation::fill:
        put_all(empty, task.keys, task.batch);
        break;
      case MapOperation::put:
        put_all(*map_, task.keys, task.batch);
        break;
      case MapOperation::erase:
        erase_all(task.keys, task.batch);
        break;
      case MapOperation::get:
      case MapOperation::miss:
        get_all(task.keys, out);
        break;
    }
    const double taken = processor_nanoseconds() - start;
    if (task.operation == MapOperation::erase) put_all(*map_, task.keys, rows_.size());
    return taken / static_cast<double>(task.keys.size());
  }

  Row row_of(std::int64_t key) override {
    Row row;
    map_->get(key, row);
    return row;
  }

 private:
  void put_all(Map& map, std::span<const std::int64_t> keys, std::size_t batch) {
    if (batch == 1) {
      for (std::size_t i = 0; i < keys.size(); ++i) map.put(keys[i], rows_[i % rows_.size()]);
      return;
    }
    for (std::size_t first = 0; first < keys.size(); first += batch) {
      const auto some = keys.subspan(first, std::min(batch, keys.size() - first));
      map.put(some, rows_.first(some.size()));
    }
  }
  void get_all(std::span<const std::int64_t> keys, std::vector<Row>& out) {
    if (out.size() == 1) {
      for (const std::int64_t key : keys) {
        map_->get(key, out[0]);
        keep(out);
      }
      return;
    }
    for (std::size_t first = 0; first < keys.size(); first += out.size()) {
      const auto some = keys.subspan(first, std::min(out.size(), keys.size() - first));
      map_->get(some, std::span(out).first(some.size()));
      keep(out);
    }
  }
  void erase_all(std::span<const std::int64_t> keys, std::size_t batch) {
    if (batch == 1) {
      for (const std::int64_t key : keys) map_->erase(key);
      return;
    }
    for (std::size_t first = 0; first < keys.size(); first += batch) {
      map_->erase(keys.subspan(first, std::min(batch, keys.size() - first)));
    }
  }
  /// The compiler must take it that somebody reads the rows now.
  static void keep(std::vector<Row>& rows) { asm volatile("" : : "r"(rows.data()) : "memory"); }

  std::unique_ptr<Map> map_;
  std::span<const Row> rows_;  ///< what is put, by turns
};

struct NamedContender {
  std::string name;
  std::unique_ptr<MapContender> map;
};

/// Other people's maps; none where the program was built without them.
std::vector<NamedContender> other_maps(std::span<const std::int64_t> keys,
                                       std::span<const Row> rows);

}  // namespace bench
