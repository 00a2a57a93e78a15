#include "storage/head_bytes.hpp"

#include <algorithm>
#include <cstring>

#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

std::string place_of(const char* what, std::uint64_t offset) {
  return std::string("has ") + what + " at offset " + std::to_string(offset) + " of the head ";
}

}  // namespace

void HeadPiece::refuse(const std::string& why) const {
  refuse_object(*path_, place_of(what_, offset_) + why);
}

void HeadPiece::refuse_number(const char* name, std::uint64_t found, std::uint64_t expected) const {
  refuse(std::string("with the ") + name + " " + std::to_string(found) + ", expected " +
         std::to_string(expected));
}

std::span<const std::byte> HeadPiece::bytes(std::size_t count) {
  if (count > left()) {
    refuse("that ends after " + std::to_string(bytes_.size()) + " bytes, expected " +
           std::to_string(at_ + count));
  }
  at_ += count;
  return bytes_.subspan(at_ - count, count);
}

HeadPiece HeadPiece::piece(std::size_t count, const char* what) {
  const std::uint64_t offset = offset_ + at_;
  return {bytes(count), offset, what, *path_};
}

void HeadPiece::expect_signature(std::string_view signature, std::string_view name) {
  if (std::memcmp(bytes(signature.size()).data(), signature.data(), signature.size()) != 0) {
    refuse("that does not begin with " + std::string(name));
  }
}

void HeadBytes::check_inside(std::uint64_t offset, std::uint64_t count, const char* what,
                             const std::string& path) const {
  if (offset % kUnit != 0) {
    refuse_object(path, place_of(what, offset) + "that is no multiple of " + std::to_string(kUnit));
  }
  if (offset > bytes_.size() || count > bytes_.size() - offset) {
    refuse_object(path, place_of(what, offset) + "with " + std::to_string(count) +
                            " bytes, which leaves its " + std::to_string(bytes_.size()) + " bytes");
  }
}

HeadPiece HeadBytes::take(std::uint64_t offset, std::uint64_t count, const char* what,
                          const std::string& path) {
  check_inside(offset, count, what, path);
  const auto begin = taken_.begin() + static_cast<std::ptrdiff_t>(offset / kUnit);
  const auto end =
      taken_.begin() + static_cast<std::ptrdiff_t>((offset + count + kUnit - 1) / kUnit);
  if (std::find(begin, end, true) != end) {
    refuse_object(path, place_of(what, offset) +
                            "that was met before: a second name of an object, or two in one place");
  }
  std::fill(begin, end, true);
  return {bytes_.subspan(offset, count), offset, what, path};
}

std::string_view HeadBytes::take_text(std::uint64_t offset, std::uint64_t end, const char* what,
                                      const std::string& path) {
  check_inside(offset, 0, what, path);
  const auto area = bytes_.subspan(offset, std::max(offset, std::min(end, size())) - offset);
  const auto zero = std::ranges::find(area, std::byte{0});
  if (zero == area.end()) refuse_object(path, place_of(what, offset) + "without an end");
  const auto length = static_cast<std::size_t>(zero - area.begin());
  // With its zero byte: so that no two texts begin in one unit.
  const auto text = take(offset, length + 1, what, path).bytes(length);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

}  // namespace cairn::storage
