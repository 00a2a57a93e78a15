#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "cairn/export.hpp"
#include "cairn/listener.hpp"

namespace cairn {

/// How bad it is.
enum class Severity : std::uint8_t {
  info,     ///< as it should be
  warning,  ///< nothing is lost, but somebody should look
  error,    ///< a save failed
};

/// Takes one line of a log, without its end.
using LogSink = std::function<void(Severity severity, std::string_view line)>;

/// Local. Lines go to spdlog's default logger where Cairn was configured with spdlog, else to the
/// standard error stream.
CAIRN_API LogSink default_log();

/// Writes one line a save, on rank 0 (or on the rank that saves alone): what was saved, how large it is, how long the program waited
/// for it and how long each phase took. And one for each failure, wait, deletion, skipped file and end by a
/// signal.
class CAIRN_API LogListener : public Listener {
 public:
  /// Local. An empty sink writes nothing.
  explicit LogListener(LogSink sink = default_log());

  /// See `Listener`, here and below.
  void waited(const Event& event, double seconds) override;
  /// The line.
  void committed(const Event& event) override;
  /// An error.
  void failed(const Event& event, const Error& error) override;
  /// A warning.
  void stopping(const Event& event, std::string_view reason) override;
  /// For information.
  void deleted(const Event& event) override;
  /// A warning.
  void skipped(const Event& event, std::string_view reason) override;

 private:
  void say(const Event& event, Severity severity, std::string_view line) const;

  LogSink sink_;
};

/// Appends each event of rank 0 to a file, one JSON object a line, for programs and plots:
/// `{"event": "committed", "time": seconds since 1970, "path": …, "step": …, "sequence": …,
/// "bytes": …, "rank": …}`; `committed` has `stall_seconds` and `seconds` by phase, `waited`
/// `waited_seconds`, `failed` `error` and `code`, `stopping` and `skipped` `reason`, and `phase` `phase`.
class CAIRN_API JsonLinesListener : public Listener {
 public:
  /// Local. Opens the file on the rank whose events come; throws nothing. Where it cannot be written
  /// lines are lost, which `good` tells.
  explicit JsonLinesListener(std::filesystem::path path);
  /// Local. Closes the file.
  ~JsonLinesListener() override;
  JsonLinesListener(const JsonLinesListener&) = delete;
  JsonLinesListener& operator=(const JsonLinesListener&) = delete;

  /// Local. False where a line could not be written.
  [[nodiscard]] bool good() const noexcept;

  /// See `Listener`, here and below.
  void started(const Event& event) override;
  /// With its name.
  void phase(const Event& event, Phase phase) override;
  /// The program may change its values.
  void captured(const Event& event) override;
  /// With the seconds.
  void waited(const Event& event, double seconds) override;
  /// With all seconds.
  void committed(const Event& event) override;
  /// With the message.
  void failed(const Event& event, const Error& error) override;
  /// With the reason.
  void stopping(const Event& event, std::string_view reason) override;
  /// By retention, or a sweep.
  void deleted(const Event& event) override;
  /// With the reason.
  void skipped(const Event& event, std::string_view reason) override;

 private:
  class File;
  std::unique_ptr<File> file_;
};

/// Passes every event on to several listeners, in their order. None is owned.
class CAIRN_API Listeners : public Listener {
 public:
  /// Local. All must outlive it; null ones are left out.
  explicit Listeners(std::vector<Listener*> listeners);

  /// See `Listener`, here and below.
  void started(const Event& event) override;
  /// Passed on.
  void phase(const Event& event, Phase phase) override;
  /// Passed on.
  void captured(const Event& event) override;
  /// Passed on.
  void waited(const Event& event, double seconds) override;
  /// Passed on.
  void committed(const Event& event) override;
  /// Passed on.
  void failed(const Event& event, const Error& error) override;
  /// Passed on.
  void stopping(const Event& event, std::string_view reason) override;
  /// Passed on.
  void deleted(const Event& event) override;
  /// Passed on.
  void skipped(const Event& event, std::string_view reason) override;

 private:
  std::vector<Listener*> listeners_;
};

}  // namespace cairn
