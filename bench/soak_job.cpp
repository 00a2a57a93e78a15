#include "soak_job.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace bench {

namespace {

/// As `read`: 0 at the end, negative where nothing is there now.
ssize_t append_from(int fd, std::string& text) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::read(fd, bytes.data(), bytes.size());
  if (got > 0) text.append(bytes.data(), static_cast<std::size_t>(got));
  return got;
}

}  // namespace

SoakJob::SoakJob(const std::vector<std::string>& command, int told) : told_(told) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) {
    words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: exec takes what it does not change
  }
  words.push_back(nullptr);
  id_ = ::fork();
  if (id_ < 0) throw std::runtime_error("cannot start another process");
  if (id_ == 0) {
    ::setsid();
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  output_ = ends[0];
}

SoakJob::~SoakJob() {
  kill(true);
  wait();
  ::close(output_);
}

std::optional<std::string> SoakJob::next_line(Clock::time_point until) {
  while (!ended_) {
    while (append_from(told_, lines_) > 0) continue;
    if (const std::size_t end = lines_.find('\n'); end != std::string::npos) {
      std::string line = lines_.substr(0, end);
      lines_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    std::array<pollfd, 2> ends{pollfd{told_, POLLIN, 0}, pollfd{output_, POLLIN, 0}};
    if (left <= 0 || ::poll(ends.data(), ends.size(), static_cast<int>(left)) == 0) break;
    if (ends[0].revents != 0) continue;  // what it told comes before its end
    ended_ = ends[1].revents != 0 && append_from(output_, printed_) == 0;
  }
  return std::nullopt;
}

std::vector<pid_t> SoakJob::processes() const {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) continue;
    std::ifstream file(entry.path() / "stat");
    std::string stat;
    if (!std::getline(file, stat)) continue;  // it has ended meanwhile
    // After the name in brackets: state, parent, group, session.
    const std::size_t name_end = stat.rfind(") ");
    if (name_end == std::string::npos) continue;
    char state = 0;
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    std::istringstream fields(stat.substr(name_end + 2));
    if (fields >> state >> parent >> group >> session && session == id_) {
      found.push_back(static_cast<pid_t>(std::stol(name)));
    }
  }
  return found;
}

void SoakJob::kill(bool all) const {
  if (!all) {
    ::kill(id_, SIGKILL);
    return;
  }
  for (const pid_t process : processes()) ::kill(process, SIGKILL);
}

int SoakJob::wait() {
  if (reaped_) return 0;
  int status = 0;
  ::waitpid(id_, &status, 0);
  reaped_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace bench
