// The name behind a path. Input: the path.
#include "fuzz/input.hpp"
#include "storage/dataset_names.hpp"

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path(reinterpret_cast<const char*>(data), size);
  fuzz::accepts([&] {
    TensorInfo tensor;
    tensor.name = storage::name_of_path(path);
    const std::string again = storage::dataset_paths(std::span(&tensor, 1)).front();
    fuzz::require(path == again || path == again + '%');
  });
  return 0;
}
