// The parser of heads. Input: four numbers of the record, then the head. The highest bit of the third
// says that there may be MapParameters. The superblock's checksum is repaired. The mutator knows that words are 8 bytes and that most of them are addresses.
#include <random>

#include "codec/lookup3.hpp"
#include "fuzz/input.hpp"
#include "fuzz/maps.hpp"
#include "storage/head_reader.hpp"
#include "storage/image_format.hpp"
#include "storage/little_endian.hpp"

using namespace cairn;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  constexpr std::size_t kWord = 8;
  std::minstd_rand random(seed);
  if (size < 2 * kWord || random() % 3 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const auto place = [&] { return random() % (size / kWord) * kWord; };
  const std::size_t to = place();
  const std::size_t from = place();
  const std::size_t count = std::min(kWord * (1 + random() % 5), size - std::max(to, from));
  if (random() % 4 == 0) {
    LLVMFuzzerMutate(data + to, kWord, kWord);  // one word changes, the others stay in place
  } else {
    std::memmove(data + to, data + from, random() % 4 == 0 ? count : kWord);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  storage::Record record;
  record.head_bytes = input.number<std::uint64_t>();
  record.tail_offset = record.table_offset = input.number<std::uint64_t>();
  constexpr std::uint64_t kMapsBit = std::uint64_t{1} << 63U;
  const auto entries = input.number<std::uint64_t>();
  record.table_entries = entries & ~kMapsBit;
  if ((entries & kMapsBit) != 0) record.required_features = storage::kMapFeature;
  record.image_bytes = input.number<std::uint64_t>();
  const auto rest = input.rest();
  std::vector<std::byte> head(rest.begin(), rest.end());
  constexpr std::size_t kSumAt = 44;
  if (head.size() > kSumAt + 4) {
    storage::store_little_endian(std::span(head).subspan(kSumAt),
                                 codec::lookup3(std::span(head).first(kSumAt)));
  }
  fuzz::accepts([&] {
    const std::vector<PlacedTensor> tensors = storage::read_head(head, record);
    for (const PlacedTensor& tensor : tensors) {
      fuzz::require(tensor.shape.size() <= storage::kLargestRank);
      fuzz::require(!tensor.is_text || (tensor.family == Family::append_info &&
                                        tensor.dtype == DType::uint8 && tensor.shape.size() == 1 &&
                                        tensor.shape[0] > 0 && tensor.shape[0] <= kLongestText));
      const std::uint64_t bytes = element_count(tensor.shape) * size_of(tensor.dtype);
      if (bytes == 0) continue;
      fuzz::require(tensor.offset >= record.head_bytes && tensor.offset <= record.tail_offset &&
                    bytes <= record.tail_offset - tensor.offset);
      fuzz::require(tensor.family != Family::map_parameter || record.has_maps());
    }
    fuzz::read_maps(std::vector<TensorInfo>(tensors.begin(), tensors.end()));
  });
  return 0;
}
