#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/image.hpp"

namespace cairn::testing {

/// Tensors in the order that `lay_out` asks for.
inline std::vector<TensorInfo> sorted(std::vector<TensorInfo> tensors) {
  std::ranges::sort(tensors, {}, &TensorInfo::key);
  return tensors;
}

/// One tensor of each dtype, of a few shapes.
inline std::vector<TensorInfo> tensors_of_every_dtype() {
  std::vector<TensorInfo> tensors;
  for (std::uint8_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::string name(to_string(dtype));
    tensors.push_back({name + "/matrix", dtype, {7, 5}});
    tensors.push_back({name + "/scalar", dtype, {}});
    tensors.push_back({name + "/empty", dtype, {3, 0, 2}});
  }
  return sorted(tensors);
}

/// Entries of append_info of several types, beside a tensor of a name of theirs.
inline std::vector<TensorInfo> tensors_with_info() {
  constexpr Family kInfo = Family::append_info;
  return sorted({{"w", DType::float32, {3, 5}},
                 {"w", DType::int64, {}, kInfo},
                 {"note", DType::uint8, {12}, kInfo, true},
                 {"nothing", DType::uint8, {1}, kInfo, true},
                 {"on", DType::boolean, {}, kInfo},
                 {"average/w", DType::bfloat16, {3, 5}, kInfo},
                 {"average", DType::float64, {}, kInfo}});
}

/// A record with something in every place that the user of an image fills.
inline storage::Record sample_record() {
  storage::Record record;
  record.step = 700;
  record.epoch = 3;
  record.step_in_epoch = 100;
  record.steps_per_epoch = 300;
  record.sequence = 12;
  record.saved_at = Time(std::chrono::nanoseconds(1'700'000'000'123'456'789));
  record.kind = storage::CheckpointKind::breakpoint;
  for (std::size_t i = 0; i < record.run_id.size(); ++i) record.run_id[i] = std::byte(0xF0 + i);
  record.series = "CKP_2";
  record.optional_features = "later";
  return record;
}

/// Makes an empty file a complete image whose values are all zero.
inline void fill_image(const storage::PosixFile& file, const storage::ImageLayout& layout,
                       const storage::Record& record) {
  file.truncate(layout.image_bytes);
  file.write(layout.head, 0);
  file.write(storage::make_tail(layout, record), layout.tail_offset);
}

/// The plain image in a file that is open already.
inline storage::ImageFile image_in(const storage::PosixFile& file) {
  return storage::ImageFile(storage::PosixFile::open_for_reading(file.path()));
}

inline storage::PosixFile write_image(const std::filesystem::path& path,
                                      const storage::ImageLayout& layout,
                                      const storage::Record& record) {
  storage::PosixFile file = storage::PosixFile::create(path);
  fill_image(file, layout, record);
  return file;
}

}  // namespace cairn::testing
