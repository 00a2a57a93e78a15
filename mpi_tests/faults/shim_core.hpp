// What shim.cpp knows of the program that it is loaded into.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "faults/log.hpp"
#include "faults/shim.hpp"

namespace cairn::faults {

/// What is to become of a call.
enum class Verdict : std::uint8_t { make, fail, shorten };

/// A call that matters, and what is written down when it succeeded.
struct Call {
  Kind kind;
  std::string path;
  std::string to{};
};

class Core final : public Shim {
 public:
  static Core& instance();

  void watch(const std::string& root, int rank) override;
  void arm(const Fault& fault) override;
  Happened disarm() override;
  void record(LogMemory* log) override;
  void mark(std::uint8_t mark, std::uint64_t value) override;
  void trace(int descriptor) override;

  /// Without it every call goes straight on.
  [[nodiscard]] bool watching() const { return watching_.load(std::memory_order_relaxed); }
  /// The full path where it is the watched directory or below it; else empty.
  [[nodiscard]] std::string watched(int directory, const char* path);
  [[nodiscard]] std::string watched(int descriptor);
  void opened(int descriptor, std::string path);
  void closed(int descriptor);

  /// Tells the trace of a system call that a function of the C library makes beside the one it is
  /// for.
  void note(Kind kind, const std::string& path);
  /// Counts the call; sets errno where it is to fail.
  Verdict judge(const Call& call);

  /// Held around a call that changes something, while a log is kept.
  class Turn {
   public:
    explicit Turn(Core& core);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    explicit operator bool() const { return log_ != nullptr; }

   private:
    LogMemory* log_;
  };
  /// With the turn held.
  void write_down(Op op, std::uint64_t inode, std::uint64_t offset, const std::string& path,
                  const std::string& to, std::span<const std::byte> data, std::uint8_t mark = 0);

 private:
  void put_in_trace(Kind kind, const std::string& path) const;
  [[nodiscard]] std::string below_root(const std::string& path) const;

  std::atomic<bool> watching_{false};
  std::mutex mutex_;
  std::string root_;
  int rank_ = 0;
  std::vector<std::string> paths_;  ///< by descriptor; empty: not watched
  Fault fault_;
  Happened happened_;
  std::string struck_;
  int trace_ = -1;
  std::atomic<LogMemory*> log_{nullptr};
};

}  // namespace cairn::faults
