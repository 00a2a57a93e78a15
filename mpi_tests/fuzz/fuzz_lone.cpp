// What one rank wrote alone: the names of files and datasets, and the mark. Input: whether the dataset
// is a text, the number of its extents and these, a byte each; then a text that is all three.
#include "fuzz/input.hpp"
#include "policy/names.hpp"
#include "storage/lone_shard.hpp"
#include "storage/stored_object.hpp"

using namespace cairn;
using namespace cairn::storage;

namespace {

void read_piece(PlacedTensor dataset) {
  const LonePiece piece = lone_piece(dataset, "fuzz");
  fuzz::require(piece.box.extent == dataset.shape);
  fuzz::require(lone_piece_name(piece.tensor.name, piece.box, piece.tensor.shape) == dataset.name);
  for (std::size_t d = 0; d < piece.tensor.shape.size(); ++d) {
    const std::uint64_t size = piece.tensor.shape[d];
    fuzz::require(piece.box.offset[d] <= size && piece.box.extent[d] <= size - piece.box.offset[d]);
  }
  fuzz::require(checked_bytes(piece.tensor.shape, DType::uint8, "fuzz") <=
                checked_bytes(piece.tensor.shape, piece.tensor.dtype, "fuzz"));
}

void read_mark(const std::string& words) {
  Record record;
  record.required_features = kLoneShardFeature;
  record.optional_features = words;
  const auto mark = mark_of(record, "fuzz");
  fuzz::require(mark && mark->rank < mark->ranks);
  put_mark(*mark, record);
  fuzz::require(mark_of(record, "again") == mark);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  PlacedTensor dataset;
  dataset.is_text = (input.number<std::uint8_t>() & 1U) != 0;
  dataset.shape.resize(input.number<std::uint8_t>() % 33U);
  for (std::uint64_t& extent : dataset.shape) extent = input.number<std::uint8_t>();
  const auto rest = input.rest();
  const std::string text(reinterpret_cast<const char*>(rest.data()), rest.size());
  dataset.name = text;
  fuzz::accepts([&] { read_piece(dataset); });
  fuzz::accepts([&] { read_mark(text); });
  if (const auto name = policy::parse_lone_name(text)) fuzz::require(policy::format(*name) == text);
  return 0;
}
