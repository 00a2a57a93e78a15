#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>

#include "base/tensor.hpp"
#include "cairn/inspect.hpp"
#include "storage/block_reader.hpp"
#include "storage/image.hpp"

namespace cairn {

// What the files of a checkpoint add to its Contents.

void take_identity(const storage::Identity& identity, CheckpointInfo& info);
void take_record(const storage::Record& record, Contents& contents);
/// How it is encrypted, if it is.
void take_mode(const storage::ImageFile& file, Contents& contents);
/// An entry of append_info, and what is wrong with it.
void take_info(StoredInfo info, Contents& contents);

/// What is appended there, in an image.
StoredInfo info_of(const PlacedTensor& stored, const storage::ImageFile& file,
                   storage::BlockReader& reader);
/// Without its pieces.
StoredTensor tensor_of(const TensorInfo& tensor);
/// 0 where it cannot be told.
std::uint64_t length_of(const std::filesystem::path& path) noexcept;

/// Looks at the last of the files; what is wrong with it is told with it.
template <class Look>
void note_problem(Contents& contents, Look&& look) {
  try {
    look();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::wrong_key) throw;
    contents.files.back().problem = error;
    if (!contents.problem) contents.problem = error;
  }
}

/// What ranks saved alone, in those files of a set.
void take_lone(const std::vector<std::filesystem::path>& files, const storage::Unlock& unlock,
               Contents& contents);

}  // namespace cairn
