#include "storage/hdf5_types.hpp"

#include <cstdint>
#include <string_view>

#include "storage/float_fields.hpp"

namespace cairn::storage {
namespace {

H5Datatype copy_of(hid_t standard) {
  return H5Datatype(checked(H5Tcopy(standard), "copy a type"));
}

H5Datatype make_float(const FloatFields& f) {
  H5Datatype type = copy_of(H5T_IEEE_F32LE);
  const std::size_t sign = std::size_t{f.mantissa_bits} + f.exponent_bits;
  // Fields before size: they must fit at every moment.
  checked(H5Tset_fields(type.get(), sign, f.mantissa_bits, f.exponent_bits, 0, f.mantissa_bits),
          "set the fields of a float type");
  checked(H5Tset_precision(type.get(), std::size_t{f.bytes} * 8),
          "set the precision of a float type");
  checked(H5Tset_size(type.get(), f.bytes), "set the size of a float type");
  checked(H5Tset_ebias(type.get(), f.bias), "set the bias of a float type");
  return type;
}

H5Datatype make_boolean() {
  H5Datatype type(checked(H5Tenum_create(H5T_STD_I8LE), "make the type of bool"));
  const std::int8_t no = 0;
  const std::int8_t yes = 1;
  checked(H5Tenum_insert(type.get(), "FALSE", &no), "make the type of bool");
  checked(H5Tenum_insert(type.get(), "TRUE", &yes), "make the type of bool");
  return type;
}

H5Datatype make_complex(hid_t part) {
  const std::size_t bytes = H5Tget_size(part);
  H5Datatype type(checked(H5Tcreate(H5T_COMPOUND, 2 * bytes), "make a complex type"));
  checked(H5Tinsert(type.get(), "r", 0, part), "make a complex type");
  checked(H5Tinsert(type.get(), "i", bytes, part), "make a complex type");
  return type;
}

H5Datatype make_type(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return copy_of(H5T_IEEE_F64LE);
    case DType::float32:
      return copy_of(H5T_IEEE_F32LE);
    case DType::float16:
      return make_float(kFloat16);
    case DType::bfloat16:
      return make_float(kBfloat16);
    case DType::float8_e4m3:
      return make_float(kFloat8E4m3);
    case DType::float8_e5m2:
      return make_float(kFloat8E5m2);
    case DType::int8:
      return copy_of(H5T_STD_I8LE);
    case DType::uint8:
      return copy_of(H5T_STD_U8LE);
    case DType::int16:
      return copy_of(H5T_STD_I16LE);
    case DType::uint16:
      return copy_of(H5T_STD_U16LE);
    case DType::int32:
      return copy_of(H5T_STD_I32LE);
    case DType::uint32:
      return copy_of(H5T_STD_U32LE);
    case DType::int64:
      return copy_of(H5T_STD_I64LE);
    case DType::uint64:
      return copy_of(H5T_STD_U64LE);
    case DType::boolean:
      return make_boolean();
    case DType::complex64:
      return make_complex(H5T_IEEE_F32LE);
    case DType::complex128:
      return make_complex(H5T_IEEE_F64LE);
  }
  return {};
}

/// What HDF5 hands out as a C string of its own.
struct Hdf5TextTraits {
  using Handle = char*;
  static Handle null() noexcept { return nullptr; }
  static void close(Handle text) noexcept { H5free_memory(text); }
};

bool is_member(hid_t type, unsigned i, std::string_view name) {
  const UniqueHandle<Hdf5TextTraits> found(H5Tget_member_name(type, i));
  return found.valid() && name == found.get();
}

bool is_boolean_value(hid_t type, unsigned i, std::string_view name, std::int8_t value) {
  std::int8_t found = -1;
  if (!is_member(type, i, name)) return false;
  return H5Tget_member_value(type, i, &found) >= 0 && found == value;
}

/// h5py's {FALSE = 0, TRUE = 1}, whatever the sign and the byte order of its one byte.
bool is_boolean(hid_t type) {
  return H5Tget_size(type) == 1 && H5Tget_nmembers(type) == 2 &&
         is_boolean_value(type, 0, "FALSE", 0) && is_boolean_value(type, 1, "TRUE", 1);
}

/// Whether it is {r, i}, one behind the other and nothing else.
bool is_complex(hid_t type) {
  return H5Tget_nmembers(type) == 2 && is_member(type, 0, "r") && is_member(type, 1, "i") &&
         H5Tget_member_offset(type, 0) == 0 &&
         H5Tget_member_offset(type, 1) == H5Tget_size(type) / 2;
}

std::optional<DType> complex_of(std::optional<DType> r, std::optional<DType> i) {
  if (!r || r != i) return std::nullopt;
  if (*r == DType::float32) return DType::complex64;
  if (*r == DType::float64) return DType::complex128;
  return std::nullopt;
}

H5Datatype member_of(hid_t type, unsigned i) {
  return H5Datatype(checked(H5Tget_member_type(type, i), "look at a member of a type"));
}

}  // namespace

H5Datatype text_type(std::size_t bytes) {
  H5Datatype type(checked(H5Tcopy(H5T_C_S1), "make the type of a text"));
  checked(H5Tset_size(type.get(), bytes), "make the type of a text");
  checked(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "make the type of a text");
  checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), "make the type of a text");
  return type;
}

Hdf5Types::Hdf5Types() {
  for (std::size_t i = 0; i < types_.size(); ++i) types_[i] = make_type(static_cast<DType>(i));
}

std::optional<DType> Hdf5Types::dtype_of(hid_t type) const {
  const std::size_t bytes = H5Tget_size(type);
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (size_of(dtype) != bytes) continue;  // far cheaper than the comparison
    if (checked(H5Tequal(type, types_[i].get()), "compare types") > 0) return dtype;
  }
  return std::nullopt;
}

std::optional<DType> Hdf5Types::dtype_in_any_order(hid_t type) const {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
    case H5T_FLOAT: {
      const H5Datatype little = copy_of(type);
      if (H5Tset_order(little.get(), H5T_ORDER_LE) < 0) return std::nullopt;
      return dtype_of(little.get());
    }
    case H5T_ENUM:
      return is_boolean(type) ? std::optional(DType::boolean) : std::nullopt;
    case H5T_COMPOUND:
      if (!is_complex(type)) return std::nullopt;
      return complex_of(dtype_in_any_order(member_of(type, 0).get()),
                        dtype_in_any_order(member_of(type, 1).get()));
    default:
      return std::nullopt;
  }
}

}  // namespace cairn::storage
