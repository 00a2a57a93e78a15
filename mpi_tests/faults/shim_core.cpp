#include "faults/shim_core.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace cairn::faults {
namespace {

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::none: return "none";
    case Kind::open: return "open";
    case Kind::create: return "create";
    case Kind::read: return "read";
    case Kind::write: return "write";
    case Kind::resize: return "resize";
    case Kind::sync: return "sync";
    case Kind::rename: return "rename";
    case Kind::remove: return "remove";
    case Kind::make_directory: return "make_directory";
    case Kind::link: return "link";
    case Kind::close: return "close";
    case Kind::look: return "look";
    case Kind::list: return "list";
    case Kind::control: return "control";
  }
  return "?";
}

}  // namespace

Core& Core::instance() {
  static Core* const core = new Core;  // the program's last calls come after static destructors
  return *core;
}

void Core::watch(const std::string& root, int rank) {
  const std::lock_guard lock(mutex_);
  root_ = root;
  rank_ = rank;
  watching_ = !root.empty();
}

void Core::arm(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  fault_ = fault;
  happened_ = {};
  struck_.clear();
}

Happened Core::disarm() {
  const std::lock_guard lock(mutex_);
  fault_ = {};
  return happened_;
}

void Core::record(LogMemory* log) { log_ = log; }

void Core::trace(int descriptor) {
  const std::lock_guard lock(mutex_);
  trace_ = descriptor;
}

std::string Core::watched(int directory, const char* path) {
  if (path == nullptr) return {};
  std::string full = path;
  if (directory != AT_FDCWD && path[0] != '/') {
    const std::string base = watched(directory);
    if (base.empty()) return {};
    full = full.empty() ? base : base + "/" + full;
  }
  const std::lock_guard lock(mutex_);
  if (!full.starts_with(root_)) return {};
  while (full.size() > root_.size() && full.back() == '/') full.pop_back();
  if (full.size() > root_.size() && full[root_.size()] != '/') return {};
  return full;
}

std::string Core::watched(int descriptor) {
  const std::lock_guard lock(mutex_);
  const auto at = static_cast<std::size_t>(descriptor);
  if (descriptor < 0 || at >= paths_.size() || paths_[at].empty()) return {};
  return paths_[at];
}

void Core::opened(int descriptor, std::string path) {
  const std::lock_guard lock(mutex_);
  const auto at = static_cast<std::size_t>(descriptor);
  if (at >= paths_.size()) paths_.resize(at + 1);
  paths_[at] = std::move(path);
}

void Core::closed(int descriptor) { opened(descriptor, {}); }

void Core::put_in_trace(Kind kind, const std::string& path) const {
  if (trace_ < 0) return;
  const std::string line = std::string(name_of(kind)) + " " + path + "\n";
  static_cast<void>(::syscall(SYS_write, trace_, line.data(), line.size()));
}

void Core::note(Kind kind, const std::string& path) {
  const std::lock_guard lock(mutex_);
  const int kept = errno;
  put_in_trace(kind, path);
  errno = kept;
}

Verdict Core::judge(const Call& call) {
  const std::lock_guard lock(mutex_);
  const std::string what = std::string(name_of(call.kind)) + " " + call.path;
  put_in_trace(call.kind, call.path);
  if (happened_.at == call.kind && struck_ == call.path) ++happened_.same_later;
  if ((fault_.kinds & bit(call.kind)) == 0) return Verdict::make;
  if (++happened_.calls != fault_.at) return Verdict::make;
  happened_.at = call.kind;
  happened_.what = what;
  struck_ = call.path;
  if (fault_.deed == Deed::die) ::kill(::getpid(), SIGKILL);
  if (fault_.deed == Deed::shorten) return Verdict::shorten;
  errno = fault_.error;
  return Verdict::fail;
}

std::string Core::below_root(const std::string& path) const {
  return path.size() <= root_.size() ? std::string() : path.substr(root_.size() + 1);
}

Core::Turn::Turn(Core& core) : log_(core.log_) {
  if (log_ != nullptr) ::pthread_mutex_lock(&log_->turn);
}

Core::Turn::~Turn() {
  if (log_ == nullptr) return;
  const int kept = errno;
  ::pthread_mutex_unlock(&log_->turn);
  errno = kept;
}

void Core::write_down(Op op, std::uint64_t inode, std::uint64_t offset, const std::string& path,
                      const std::string& to, std::span<const std::byte> data, std::uint8_t mark) {
  LogMemory& log = *log_;
  const std::string first = below_root(path);
  const std::string second = below_root(to);
  constexpr std::size_t kAlignment = alignof(EntryHead);
  const std::size_t bytes = sizeof(EntryHead) + first.size() + second.size() + data.size();
  const std::size_t total = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (total > log.capacity - log.used) {
    log.overflow = true;
    return;
  }
  EntryHead head{.total = static_cast<std::uint32_t>(total),
                 .op = op,
                 .mark = mark,
                 .rank = static_cast<std::int16_t>(rank_),
                 .inode = inode,
                 .offset = offset,
                 .first = static_cast<std::uint32_t>(first.size()),
                 .second = static_cast<std::uint32_t>(second.size()),
                 .data = static_cast<std::uint32_t>(data.size())};
  std::byte* place = log.entries() + log.used;
  const auto put = [&place](const void* from, std::size_t n) {
    if (n > 0) std::memcpy(place, from, n);
    place += n;
  };
  put(&head, sizeof head);
  put(first.data(), first.size());
  put(second.data(), second.size());
  put(data.data(), data.size());
  log.used += total;
}

void Core::mark(std::uint8_t mark, std::uint64_t value) {
  const Turn turn(*this);
  if (turn) write_down(Op::mark, 0, value, {}, {}, {}, mark);
}

}  // namespace cairn::faults

extern "C" __attribute__((visibility("default"))) cairn::faults::Shim* cairn_fault_shim() {
  return &cairn::faults::Core::instance();
}
