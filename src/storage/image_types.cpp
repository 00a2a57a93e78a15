#include "storage/image_types.hpp"

#include "storage/hdf5_types.hpp"
#include "storage/image_format.hpp"
#include "storage/record_fields.hpp"

namespace cairn::storage {
namespace {

/// Puts members into a compound type, one behind the other.
class MemberList {
 public:
  explicit MemberList(hid_t compound) : compound_(compound) {}

  template <std::integral T>
  void number(const char* name, const T&) {
    insert(name, integer_type<T>(), sizeof(T));
  }
  void text(const char* name, const std::string&, std::size_t bytes) {
    const H5Datatype type = text_type(bytes);
    insert(name, type.get(), bytes);
  }
  template <std::size_t N>
  void bytes(const char* name, const std::array<std::byte, N>&) {
    const hsize_t count = N;
    const H5Datatype type(
        checked(H5Tarray_create2(H5T_STD_U8LE, 1, &count), "make the type of", name));
    insert(name, type.get(), N);
  }
  void insert_at(const char* name, std::size_t offset, hid_t type) {
    checked(H5Tinsert(compound_, name, offset, type), "add the member", name);
  }

 private:
  template <std::integral T>
  static hid_t integer_type() {
    if constexpr (std::is_signed_v<T>) {
      static_assert(sizeof(T) == 8);
      return H5T_STD_I64LE;
    }
    if constexpr (sizeof(T) == 1) return H5T_STD_U8LE;
    if constexpr (sizeof(T) == 2) return H5T_STD_U16LE;
    if constexpr (sizeof(T) == 4) return H5T_STD_U32LE;
    return H5T_STD_U64LE;
  }
  void insert(const char* name, hid_t type, std::size_t bytes) {
    insert_at(name, at_, type);
    at_ += bytes;
  }

  hid_t compound_;
  std::size_t at_ = 0;
};

}  // namespace

H5Datatype table_entry_type() {
  H5Datatype type(checked(H5Tcreate(H5T_COMPOUND, kTableEntryBytes), "make the table's type"));
  MemberList members(type.get());
  members.number("crc32", std::uint32_t{});
  members.number("codec", std::uint16_t{});
  members.number("flags", std::uint16_t{});
  members.number("stored_bytes", std::uint64_t{});
  return type;
}

H5Datatype record_type(bool with_maps) {
  H5Datatype type(checked(H5Tcreate(H5T_COMPOUND, kRecordBytes), "make the record's type"));
  MemberList members(type.get());
  const RecordPage page;
  visit_fields(page, members);
  if (with_maps) visit_chain_fields(page, members);
  members.insert_at("record_crc", kRecordCrcOffset, H5T_STD_U32LE);
  return type;
}

}  // namespace cairn::storage
