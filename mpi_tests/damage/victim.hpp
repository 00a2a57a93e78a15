// A run that left an older, good checkpoint and a newer one, which a test damages.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/world.hpp"
#include "damage/raw_file.hpp"

namespace cairn::test {

namespace fs = std::filesystem;

enum class Guard : std::uint8_t { plain, crc, aes_gcm, aes_cbc, sm4_cbc };

/// How the run saves.
struct Protected {
  Guard guard = Guard::plain;
  bool shards = false;
};

inline std::string to_string(const Protected& how) {
  constexpr std::array kNames{"plain", "crc", "aes_gcm", "aes_cbc", "sm4_cbc"};
  return std::string(kNames[static_cast<std::size_t>(how.guard)]) + (how.shards ? "_shards" : "");
}

inline std::vector<Protected> every_protection() {
  std::vector<Protected> all;
  for (const bool shards : {false, true}) {
    for (const Guard guard :
         {Guard::plain, Guard::crc, Guard::aes_gcm, Guard::aes_cbc, Guard::sm4_cbc}) {
      all.push_back({guard, shards});
    }
  }
  return all;
}

/// Those that differ in what a reader does; the other ciphers go through the same code.
inline std::vector<Protected> main_protections() {
  return {{Guard::plain, false},
          {Guard::crc, false},
          {Guard::aes_gcm, false},
          {Guard::plain, true},
          {Guard::aes_gcm, true}};
}

template <class Predicate>
std::vector<Protected> only(std::vector<Protected> all, Predicate&& predicate) {
  std::erase_if(all, [&](const Protected& how) { return !predicate(how); });
  return all;
}

inline bool is_sealed(Guard guard) {
  return guard >= Guard::aes_gcm;
}

inline EncMode mode_of(Guard guard) {
  if (guard == Guard::aes_cbc) return EncMode::aes_cbc;
  return guard == Guard::sm4_cbc ? EncMode::sm4_cbc : EncMode::aes_gcm;
}

inline Key key_of(char fill) {
  const std::string text(16, fill);
  return Key(std::as_bytes(std::span(text)));
}

/// A model of large tensors, many small ones, scalars, an empty one, and gaps between some. Each
/// element's bits depend on the step, the tensor and the element's place in it.
class Model {
 public:
  explicit Model(std::uint64_t large_bytes) {
    const int rank = rank_of();
    const int ranks = size_of_world();
    const std::uint64_t rows = large_bytes / 3 / 4096;
    add("big.0", DType::float32, split({rows, 1024}, 0, rank, ranks));
    add("big.1", DType::float32, split({rows, 1024}, 1, rank, ranks));
    add("big.2", DType::float64, whole({rows, 512}));
    add("empty", DType::float32, whole({0, 3}));
    add("odd", DType::uint8, split({70'001}, 0, rank, ranks));
    add("scalar.rate", DType::float64, whole({}));
    add("scalar.step", DType::int64, whole({}));
    for (int i = 0; i < 200; ++i) {
      if (i % ranks == rank) add("small." + std::to_string(i), DType::float32, whole({13}));
    }
    add("wide", DType::int16, split({33'333, 1}, 0, rank, ranks));  // begins at the next 4096
  }

  [[nodiscard]] State& state() { return state_; }

  /// The values after `step` steps of training; 0: none of any step.
  void train_to(std::uint64_t step) {
    const std::vector<RawBytes>& wanted = values_of(step);
    for (std::size_t i = 0; i < parts_.size(); ++i) parts_[i].values = wanted[i];
  }
  /// Tensors whose values here are not those of `step`, element by element.
  [[nodiscard]] std::vector<std::string> different_from(std::uint64_t step) {
    const std::vector<RawBytes>& wanted = values_of(step);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (parts_[i].values != wanted[i]) names.push_back(parts_[i].name);
    }
    return names;
  }

 private:
  struct Part {
    std::string name;
    std::size_t element;
    Slice slice;
    RawBytes values;
  };

  void add(std::string name, DType dtype, Slice slice) {
    const std::size_t element = size_of(dtype);
    Part& part = parts_.emplace_back(Part{std::move(name), element, std::move(slice), {}});
    part.values.resize(element_count(part.slice.extent) * element);
    state_.add(part.name, part.slice,
               Source::memory(dtype, static_cast<void*>(part.values.data())));
  }
  /// Row-major place of the slice's i-th element in its tensor of at most two dimensions.
  static std::uint64_t place_in_tensor(const Slice& slice, std::uint64_t i) {
    if (slice.global.empty()) return 0;
    if (slice.global.size() == 1) return slice.offset[0] + i;
    const std::uint64_t row = slice.offset[0] + i / slice.extent[1];
    return row * slice.global[1] + slice.offset[1] + i % slice.extent[1];
  }
  /// splitmix64: neighbours have nothing in common.
  static std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EB;
    return x ^ (x >> 31U);
  }
  static RawBytes make(const Part& part, std::uint64_t step) {
    RawBytes bytes(part.values.size());
    const std::uint64_t seed = mix(step) ^ std::hash<std::string>{}(part.name);
    for (std::uint64_t i = 0; i < bytes.size() / part.element; ++i) {
      const std::uint64_t bits = mix(seed + place_in_tensor(part.slice, i));
      std::memcpy(bytes.data() + i * part.element, &bits, part.element);
    }
    return bytes;
  }
  const std::vector<RawBytes>& values_of(std::uint64_t step) {
    auto [at, is_new] = by_step_.try_emplace(step);
    if (is_new) {
      for (const Part& part : parts_) at->second.push_back(make(part, step));
    }
    return at->second;
  }

  std::deque<Part> parts_;  // `state_` points into them
  State state_;
  std::map<std::uint64_t, std::vector<RawBytes>> by_step_;
};

/// What a restore in a new object did; the same on every rank.
struct Outcome {
  std::optional<ErrorCode> code;  ///< nothing: it did not throw
  std::string error;
  bool nothing = false;  ///< no checkpoint at all
  Restored restored;
  bool right_values = false;  ///< those of the step that was restored, on all ranks
  double seconds = 0;

  /// Fell back to the older one, with its values, over one damaged one.
  [[nodiscard]] bool fell_back(std::uint64_t older, const fs::path& damaged) const {
    return !code && !nothing && restored.step == older && right_values &&
           restored.skipped.size() == 1 && restored.skipped[0].path == damaged;
  }
  [[nodiscard]] std::string reason() const {
    return restored.skipped.empty() ? error : restored.skipped[0].reason;
  }
  [[nodiscard]] std::string text() const {
    std::string all = nothing ? "nothing" : code ? "threw: " + error : restored.path.string();
    for (const Skipped& one : restored.skipped) {
      all += "\n  skipped " + one.path.string() + ": " + one.reason + " -> " +
             one.quarantined.string();
    }
    return all;
  }
};

inline bool on_all_ranks(bool mine) {
  int all = mine ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  return all == 1;
}

class Victim : public World {
 protected:
  static constexpr std::uint64_t kOlder = 3;
  static constexpr std::uint64_t kNewer = 7;
  /// No restore may take longer, whatever is damaged.
  static constexpr double kPatience = 10;

  explicit Victim(Protected how = {}, std::uint64_t large_bytes = std::uint64_t{1} << 20)
      : how_(how), model_(large_bytes) {}

  [[nodiscard]] CheckpointSettings settings() const { return settings_for(how_); }
  static CheckpointSettings settings_for(Protected how) {
    CheckpointSettings settings;
    settings.integrated_save = !how.shards;
    settings.crc_check = how.guard == Guard::crc;
    if (is_sealed(how.guard)) {
      settings.enc_key = key_of('k');
      settings.enc_mode = mode_of(how.guard);
    }
    settings.run_id = RunId{std::byte{7}};
    settings.write.durable = false;
    return settings;
  }

  void leave(const std::vector<std::uint64_t>& steps, CheckpointSettings with) {
    ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), std::move(with));
    if (!names().empty()) static_cast<void>(checkpoint.restore(model_.state()));
    for (const std::uint64_t step : steps) {
      model_.train_to(step);
      checkpoint.save(step, model_.state());
    }
  }
  void leave_two() { leave({kOlder, kNewer}, settings()); }

  [[nodiscard]] fs::path path_of(std::uint64_t step) const {
    const char* suffix = how_.shards ? ".shards" : is_sealed(how_.guard) ? ".h5.enc" : ".h5";
    return path("run-1_" + std::to_string(step) + suffix);
  }
  [[nodiscard]] fs::path older() const { return path_of(kOlder); }
  [[nodiscard]] fs::path newer() const { return path_of(kNewer); }
  [[nodiscard]] std::string shard_name(int shard) const {
    return "shard-" + std::to_string(shard) + "of" + std::to_string(ranks()) + ".h5" +
           (is_sealed(how_.guard) ? ".enc" : "");
  }
  [[nodiscard]] std::string index_name() const {
    return is_sealed(how_.guard) ? "index.h5.enc" : "index.h5";
  }
  /// The file that holds values, the last shard where there are several.
  [[nodiscard]] fs::path values_file(const fs::path& checkpoint) const {
    return how_.shards ? checkpoint / shard_name(ranks() - 1) : checkpoint;
  }

  /// Collective. In a new object, into a state of no step.
  Outcome restore(CheckpointSettings with) {
    Outcome outcome;
    model_.train_to(0);
    MPI_Barrier(MPI_COMM_WORLD);
    const auto begin = std::chrono::steady_clock::now();
    try {
      ModelCheckpoint checkpoint(MPI_COMM_WORLD, "run", directory(), std::move(with));
      if (auto restored = checkpoint.restore(model_.state())) {
        outcome.restored = std::move(*restored);
      } else {
        outcome.nothing = true;
      }
    } catch (const Error& error) {
      outcome.code = error.code();
      outcome.error = error.what();
    }
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    outcome.seconds = passed.count();
    EXPECT_LT(outcome.seconds, kPatience) << outcome.text();
    EXPECT_EQ(outcome.text(), share(outcome.text())) << "differs from rank 0's";
    outcome.right_values = on_all_ranks(!outcome.code && !outcome.nothing &&
                                        model_.different_from(outcome.restored.step).empty());
    return outcome;
  }
  Outcome restore() { return restore(settings()); }

  /// After damage to the newer one: the older is restored, and the reason says all of `words`.
  void expect_fallback(const std::vector<std::string>& words, const std::string& what = {}) {
    const Outcome outcome = restore();
    EXPECT_TRUE(outcome.fell_back(kOlder, newer())) << what << ": " << outcome.text();
    for (const std::string& word : words) {
      EXPECT_NE(outcome.reason().find(word), std::string::npos)
          << what << ": \"" << word << "\" is not in: " << outcome.reason();
    }
  }
  void expect_newer_is_good() {
    const Outcome outcome = restore();
    EXPECT_EQ(outcome.restored.path, newer()) << outcome.text();
    EXPECT_TRUE(outcome.restored.skipped.empty()) << outcome.text();
    EXPECT_TRUE(outcome.right_values);
  }
  /// A refusal: an error of that kind, and never another state.
  void expect_refusal(CheckpointSettings with, ErrorCode code,
                      const std::vector<std::string>& words) {
    const Outcome outcome = restore(std::move(with));
    EXPECT_EQ(outcome.code, code) << outcome.text();
    for (const std::string& word : words) {
      EXPECT_NE(outcome.error.find(word), std::string::npos)
          << "\"" << word << "\" is not in: " << outcome.error;
    }
  }

  Protected how_;
  Model model_;
};

}  // namespace cairn::test
