#include "api/contents.hpp"

#include <string>

#include "base/append_entries.hpp"

namespace cairn {

namespace fs = std::filesystem;

void take_identity(const storage::Identity& identity, CheckpointInfo& info) {
  info.breakpoint = identity.kind == storage::CheckpointKind::breakpoint;
  info.series = identity.series;
  info.sequence = identity.sequence;
  info.step = identity.step;
  info.epoch = identity.epoch;
  info.step_in_epoch = identity.step_in_epoch;
  info.steps_per_epoch = identity.steps_per_epoch;
  info.saved_at = identity.saved_at;
  info.run_id = identity.run_id;
  info.increment = identity.chain.position;
  info.base = identity.chain.base;
}

void take_record(const storage::Record& record, Contents& contents) {
  take_identity(record, contents);
  contents.writer = record.writer;
  contents.required_features = record.required_features;
  contents.optional_features = record.optional_features;
  contents.has_crc = record.has_crc();
  contents.block_bytes = record.block_bytes;
  contents.value_bytes = record.value_bytes;
}

void take_mode(const storage::ImageFile& file, Contents& contents) {
  if (file.sealed() != nullptr) contents.enc_mode = file.sealed()->header.mode;
}

void take_info(StoredInfo info, Contents& contents) {
  if (info.problem && !contents.problem) contents.problem = info.problem;
  contents.append_info.push_back(std::move(info));
}

StoredInfo info_of(const PlacedTensor& stored, const storage::ImageFile& file,
                   storage::BlockReader& reader) {
  if (!is_plain(stored)) return {stored.name, AppendedTensor{stored.dtype, stored.shape}, {}};
  try {
    Bytes bytes(element_count(stored.shape) * size_of(stored.dtype));
    reader.read(bytes, stored.offset);
    return {stored.name, decode_plain(stored, bytes), {}};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::damaged) throw;
    const std::string text = error.what();
    const std::string where = file.path().string();
    return {stored.name,
            {},
            Error(error.code(), text.starts_with(where) ? text : where + ": " + text)};
  }
}

StoredTensor tensor_of(const TensorInfo& tensor) {
  const std::uint64_t bytes = element_count(tensor.shape) * size_of(tensor.dtype);
  return {tensor.name, tensor.dtype, tensor.shape, bytes, {}};
}

std::uint64_t length_of(const fs::path& path) noexcept {
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

}  // namespace cairn
