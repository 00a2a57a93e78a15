#pragma once

#include <hdf5.h>

#include <concepts>
#include <mutex>
#include <string_view>

#include "base/handle.hpp"

namespace cairn::storage {

template <herr_t (*Close)(hid_t)>
struct IdTraits {
  using Handle = hid_t;
  static Handle null() noexcept { return H5I_INVALID_HID; }
  static void close(Handle id) noexcept { Close(id); }
};

using H5File = UniqueHandle<IdTraits<H5Fclose>>;
using H5Group = UniqueHandle<IdTraits<H5Gclose>>;
using H5Dataset = UniqueHandle<IdTraits<H5Dclose>>;
using H5Object = UniqueHandle<IdTraits<H5Oclose>>;
using H5Dataspace = UniqueHandle<IdTraits<H5Sclose>>;
using H5Datatype = UniqueHandle<IdTraits<H5Tclose>>;
using H5PropertyList = UniqueHandle<IdTraits<H5Pclose>>;

/// Held by every public function of this room while it calls HDF5, and longer than any handle
/// above: Debian's HDF5 is not thread safe. A program that uses HDF5 itself must not do so at the
/// same time from another thread. Meanwhile HDF5 prints no errors.
class Hdf5Lock {
 public:
  Hdf5Lock();
  Hdf5Lock(const Hdf5Lock&) = delete;
  Hdf5Lock& operator=(const Hdf5Lock&) = delete;
  ~Hdf5Lock();

 private:
  std::lock_guard<std::mutex> guard_;
  H5E_auto2_t printer_ = nullptr;  // the program's own, put back at the end
  void* printer_data_ = nullptr;
};

/// Throws the `io` error "HDF5 cannot <action> <object>: <its innermost words>".
[[noreturn]] void throw_hdf5_error(const char* action, std::string_view object);

/// What an HDF5 call gave; throws if that is a failure.
template <std::signed_integral Result>
Result checked(Result result, const char* action, std::string_view object = {}) {
  if (result < 0) throw_hdf5_error(action, object);
  return result;
}

}  // namespace cairn::storage
