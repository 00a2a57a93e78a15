#include "storage/head_objects.hpp"

#include <algorithm>
#include <array>

#include "storage/head_types.hpp"
#include "storage/image_format.hpp"
#include "storage/stored_object.hpp"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kHeaderBytes = 16;
constexpr const char* kChunk = "an object header";

// Messages that say what the object is.
constexpr std::uint16_t kDataspace = 0x01;
constexpr std::uint16_t kDatatype = 0x03;
constexpr std::uint16_t kLayout = 0x08;
constexpr std::uint16_t kContinuation = 0x10;
constexpr std::uint16_t kSymbolTable = 0x11;

/// Messages that change nothing for who reads values: space left over, fill values (every value was
/// written) and times of modification.
constexpr std::array<std::uint16_t, 5> kHarmless{0x00, 0x04, 0x05, 0x0E, 0x12};

struct NamedMessage {
  std::uint16_t type;
  const char* name;
};
/// Messages that HDF5 knows and no image has.
constexpr std::array kForbidden{
    NamedMessage{0x02, "link info"},       NamedMessage{0x06, "link"},
    NamedMessage{0x07, "external files"},  NamedMessage{0x0A, "group info"},
    NamedMessage{0x0B, "filters"},         NamedMessage{0x0C, "attribute"},
    NamedMessage{0x0D, "comment"},         NamedMessage{0x0F, "shared messages"},
    NamedMessage{0x13, "B-tree numbers"},  NamedMessage{0x14, "driver info"},
    NamedMessage{0x15, "attribute info"},  NamedMessage{0x16, "reference count"},
    NamedMessage{0x17, "file space info"},
};

std::string name_of(std::uint16_t type) {
  const auto known = std::ranges::find(kForbidden, type, &NamedMessage::type);
  if (known != kForbidden.end()) return std::string("'") + known->name + "'";
  return "of the unknown type " + std::to_string(type);
}

// Flags of a message. The other ones ask for things that no image needs.
constexpr unsigned kConstant = 0x01;
constexpr unsigned kShared = 0x02;
constexpr unsigned kNeverShared = 0x04;

void check_flags(const HeadPiece& chunk, std::uint16_t type, unsigned flags) {
  if ((flags & kShared) != 0) {
    chunk.refuse("with a shared message of type " + std::to_string(type));
  }
  if ((flags & ~(kConstant | kNeverShared)) == 0) return;
  chunk.refuse("with the flags " + std::to_string(flags) + " at a message of type " +
               std::to_string(type) + ", expected none but 1 and 4");
}

}  // namespace

HeadObject::HeadObject(HeadBytes& head, std::uint64_t address, const std::string& path)
    : path_(path) {
  HeadPiece header = head.take(address, kHeaderBytes, kChunk, path);
  header.expect("version", std::uint16_t{1});  // and a reserved byte
  const std::uint64_t messages = header.number<std::uint16_t>();
  const auto names = header.number<std::uint32_t>();
  if (names != 1) refuse_object(path, "has " + std::to_string(names) + " names, expected 1");
  waiting_.push_back({address + kHeaderBytes, header.number<std::uint32_t>()});
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    read_chunk(head.take(waiting_[i].offset, waiting_[i].bytes, kChunk, path));
  }
  if (messages_ != messages) header.refuse_number("number of messages", messages_, messages);
}

void HeadObject::read_chunk(HeadPiece chunk) {
  while (chunk.left() > 0) {
    const auto type = chunk.number<std::uint16_t>();
    const auto bytes = chunk.number<std::uint16_t>();
    const unsigned flags = chunk.number<std::uint8_t>();
    (void)chunk.bytes(3);
    check_flags(chunk, type, flags);
    if (bytes % 8 != 0) chunk.refuse("with a message of " + std::to_string(bytes) + " bytes");
    ++messages_;
    read_message(type, chunk.piece(bytes, "a message"));
  }
}

void HeadObject::read_message(std::uint16_t type, HeadPiece body) {
  if (type == kContinuation) {
    const auto offset = body.number<std::uint64_t>();
    waiting_.push_back({offset, body.number<std::uint64_t>()});
    return;
  }
  if (std::ranges::find(kHarmless, type) != kHarmless.end()) return;
  std::optional<HeadPiece>* place = type == kDataspace     ? &dataspace_
                                    : type == kDatatype    ? &datatype_
                                    : type == kLayout      ? &layout_
                                    : type == kSymbolTable ? &symbol_table_
                                                           : nullptr;
  if (place == nullptr) {
    refuse_object(path_, "has a message " + name_of(type) + ", which nothing in an image has");
  }
  if (place->has_value()) body.refuse("of type " + std::to_string(type) + " for the second time");
  *place = body;
}

HeadPiece HeadObject::required(const std::optional<HeadPiece>& message, const char* what) const {
  if (!message) refuse_object(path_, std::string("has no ") + what);
  return *message;
}

SymbolTable HeadObject::symbol_table() const {
  HeadPiece body = required(symbol_table_, "symbol table");
  const auto tree = body.number<std::uint64_t>();
  return {tree, body.number<std::uint64_t>()};
}

Shape HeadObject::shape() const {
  HeadPiece body = required(dataspace_, "shape");
  const auto version = body.number<std::uint8_t>();
  if (version == 2) refuse_object(path_, "has a dataspace of version 2, or no shape at all");
  if (version != 1) body.refuse_number("dataspace's version", version, 1);
  const std::size_t rank = body.number<std::uint8_t>();
  if (rank > kLargestRank) refuse_object(path_, "has " + std::to_string(rank) + " dimensions");
  const unsigned flags = body.number<std::uint8_t>();
  if (flags > 1) body.refuse("with the dataspace's flags " + std::to_string(flags));
  (void)body.bytes(5);
  Shape shape;
  for (std::size_t i = 0; i < rank; ++i) shape.push_back(body.number<std::uint64_t>());
  for (std::size_t i = 0; flags == 1 && i < rank; ++i) {
    if (body.number<std::uint64_t>() != shape[i]) refuse_object(path_, "has a shape that may grow");
  }
  return shape;
}

DType HeadObject::dtype() const {
  HeadPiece body = required(datatype_, "type");
  const auto dtype = dtype_of_message(body.bytes(body.left()));
  if (!dtype) refuse_object(path_, "has a type that no tensor has");
  return *dtype;
}

std::optional<std::uint32_t> HeadObject::text_bytes() const {
  HeadPiece body = required(datatype_, "type");
  return text_of_message(body.bytes(body.left()));
}

StoredValues HeadObject::values() const {
  constexpr std::uint8_t kContiguous = 1;
  HeadPiece body = required(layout_, "layout");
  body.expect("layout's version", std::uint8_t{3});
  if (body.number<std::uint8_t>() != kContiguous) refuse_object(path_, "is not contiguous");
  const auto offset = body.number<std::uint64_t>();
  return {offset, body.number<std::uint64_t>()};
}

}  // namespace cairn::storage
