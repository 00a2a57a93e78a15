#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cairn/log.hpp"

namespace cairn {
namespace {

using Json = nlohmann::ordered_json;

double now() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since_1970).count();
}

Json json_of(const char* name, const Event& event) {
  return {{"event", name},           {"time", now()},          {"path", event.path.string()},
          {"step", event.step},      {"sequence", event.sequence}, {"bytes", event.bytes},
          {"rank", event.rank}};
}

Json seconds_of(const Event& event) {
  Json seconds = Json::object();
  for (std::size_t i = 0; i < kPhaseCount; ++i) {
    if (event.seconds[i] == 0) continue;
    seconds[std::string(to_string(static_cast<Phase>(i)))] = event.seconds[i];
  }
  return seconds;
}

}  // namespace

/// Opened at the first line, so that only the rank that has any makes the file.
class JsonLinesListener::File {
 public:
  explicit File(std::filesystem::path path) : path_(std::move(path)) {}

  void append(const Json& json, const Event& event) {
    if (event.rank != 0) return;
    if (!file_.is_open()) file_.open(path_, std::ios::app);
    // Names of files need not be UTF-8; a line of JSON must be.
    file_ << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n' << std::flush;
    good_ = good_ && file_.good();
  }
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  std::atomic<bool> good_ = true;  // asked by another thread than writes
};

JsonLinesListener::JsonLinesListener(std::filesystem::path path)
    : file_(std::make_unique<File>(std::move(path))) {}

JsonLinesListener::~JsonLinesListener() = default;

bool JsonLinesListener::good() const noexcept { return file_->good(); }

void JsonLinesListener::started(const Event& event) {
  file_->append(json_of("started", event), event);
}

void JsonLinesListener::phase(const Event& event, Phase phase) {
  Json json = json_of("phase", event);
  json["phase"] = std::string(to_string(phase));
  file_->append(json, event);
}

void JsonLinesListener::captured(const Event& event) {
  file_->append(json_of("captured", event), event);
}

void JsonLinesListener::waited(const Event& event, double seconds) {
  Json json = json_of("waited", event);
  json["waited_seconds"] = seconds;
  file_->append(json, event);
}

void JsonLinesListener::committed(const Event& event) {
  Json json = json_of("committed", event);
  json["stall_seconds"] = event.stall_seconds;
  json["seconds"] = seconds_of(event);
  file_->append(json, event);
}

void JsonLinesListener::failed(const Event& event, const Error& error) {
  Json json = json_of("failed", event);
  json["code"] = std::string(to_string(error.code()));
  json["error"] = error.what();
  file_->append(json, event);
}

void JsonLinesListener::stopping(const Event& event, std::string_view reason) {
  Json json = json_of("stopping", event);
  json["reason"] = std::string(reason);
  file_->append(json, event);
}

void JsonLinesListener::deleted(const Event& event) {
  file_->append(json_of("deleted", event), event);
}

void JsonLinesListener::skipped(const Event& event, std::string_view reason) {
  Json json = json_of("skipped", event);
  json["reason"] = std::string(reason);
  file_->append(json, event);
}

}  // namespace cairn
