#pragma once

#include <cstdint>
#include <string>

namespace cairn::tools {

/// How far something is, on stderr: a bar where that is a terminal, else a line each 10 %.
class Progress {
 public:
  /// `what` is printable. Quiet: says nothing at all.
  Progress(std::string what, bool quiet);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Takes the bar away.
  ~Progress();

  void at(std::uint64_t done, std::uint64_t total);

 private:
  void draw(std::uint64_t done, std::uint64_t total, unsigned percent);

  std::string what_;
  bool quiet_;
  bool terminal_;
  unsigned told_ = 0;  ///< percent
  bool drawn_ = false;
};

}  // namespace cairn::tools
