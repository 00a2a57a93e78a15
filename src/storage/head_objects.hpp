#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/tensor.hpp"
#include "storage/head_bytes.hpp"
#include "storage/head_groups.hpp"

namespace cairn::storage {

/// Where a dataset has its values.
struct StoredValues {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// An object header of version 1: the messages that say what the object is, none of them decoded
/// yet. A message that no image has is refused by name; so are shared ones and those met twice.
/// The functions decode; they refuse what is not there.
class HeadObject {
 public:
  /// `path` must outlive it.
  HeadObject(HeadBytes& head, std::uint64_t address, const std::string& path);

  [[nodiscard]] bool is_group() const noexcept { return symbol_table_.has_value(); }
  [[nodiscard]] bool is_dataset() const noexcept { return layout_.has_value(); }

  [[nodiscard]] SymbolTable symbol_table() const;
  [[nodiscard]] Shape shape() const;
  [[nodiscard]] DType dtype() const;
  /// The bytes of a text; nothing where it is none.
  [[nodiscard]] std::optional<std::uint32_t> text_bytes() const;
  [[nodiscard]] StoredValues values() const;

 private:
  struct Chunk {
    std::uint64_t offset;
    std::uint64_t bytes;
  };

  void read_chunk(HeadPiece chunk);
  void read_message(std::uint16_t type, HeadPiece body);
  [[nodiscard]] HeadPiece required(const std::optional<HeadPiece>& message, const char* what) const;

  const std::string& path_;
  std::optional<HeadPiece> dataspace_;
  std::optional<HeadPiece> datatype_;
  std::optional<HeadPiece> layout_;
  std::optional<HeadPiece> symbol_table_;
  std::vector<Chunk> waiting_;
  std::uint64_t messages_ = 0;
};

}  // namespace cairn::storage
