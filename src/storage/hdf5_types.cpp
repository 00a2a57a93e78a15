#include "storage/hdf5_types.hpp"

#include <cstdint>

namespace cairn::storage {
namespace {

/// The fields of a float: a sign bit above the exponent above the mantissa, without gaps.
struct FloatFields {
  std::size_t bytes;
  std::size_t exponent_bits;
  std::size_t mantissa_bits;
  std::size_t bias;
};

constexpr FloatFields kFloat16{2, 5, 10, 15};
constexpr FloatFields kBfloat16{2, 8, 7, 127};
constexpr FloatFields kFloat8E4m3{1, 4, 3, 7};
constexpr FloatFields kFloat8E5m2{1, 5, 2, 15};

H5Datatype copy_of(hid_t standard) {
  return H5Datatype(checked(H5Tcopy(standard), "copy a type"));
}

H5Datatype make_float(const FloatFields& f) {
  H5Datatype type = copy_of(H5T_IEEE_F32LE);
  const std::size_t sign = f.mantissa_bits + f.exponent_bits;
  // Fields before size: they must fit at every moment.
  checked(H5Tset_fields(type.get(), sign, f.mantissa_bits, f.exponent_bits, 0, f.mantissa_bits),
          "set the fields of a float type");
  checked(H5Tset_precision(type.get(), f.bytes * 8), "set the precision of a float type");
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

}  // namespace

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

}  // namespace cairn::storage
