#include "cairn/log.hpp"

namespace cairn {

Listeners::Listeners(std::vector<Listener*> listeners) : listeners_(std::move(listeners)) {
  std::erase(listeners_, nullptr);
}

void Listeners::started(const Event& event) {
  for (Listener* listener : listeners_) listener->started(event);
}

void Listeners::phase(const Event& event, Phase phase) {
  for (Listener* listener : listeners_) listener->phase(event, phase);
}

void Listeners::captured(const Event& event) {
  for (Listener* listener : listeners_) listener->captured(event);
}

void Listeners::waited(const Event& event, double seconds) {
  for (Listener* listener : listeners_) listener->waited(event, seconds);
}

void Listeners::committed(const Event& event) {
  for (Listener* listener : listeners_) listener->committed(event);
}

void Listeners::failed(const Event& event, const Error& error) {
  for (Listener* listener : listeners_) listener->failed(event, error);
}

void Listeners::stopping(const Event& event, std::string_view reason) {
  for (Listener* listener : listeners_) listener->stopping(event, reason);
}

void Listeners::deleted(const Event& event) {
  for (Listener* listener : listeners_) listener->deleted(event);
}

void Listeners::skipped(const Event& event, std::string_view reason) {
  for (Listener* listener : listeners_) listener->skipped(event, reason);
}

}  // namespace cairn
