#include "storage/hdf5.hpp"

#include <string>

#include "cairn/error.hpp"

namespace cairn::storage {
namespace {

std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Walking upwards the first entry is the innermost one; a positive result ends the walk.
herr_t take_first(unsigned, const H5E_error2_t* entry, void* out) {
  if (entry->desc != nullptr) *static_cast<std::string*>(out) = entry->desc;
  return 1;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : guard_(library_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Lock::~Hdf5Lock() {
  H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

void throw_hdf5_error(const char* action, std::string_view object) {
  std::string reason = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &reason);
  std::string message = std::string("HDF5 cannot ") + action;
  if (!object.empty()) message += " '" + std::string(object) + "'";
  throw Error(ErrorCode::io, message + ": " + reason);
}

}  // namespace cairn::storage
