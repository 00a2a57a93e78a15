// h5-create WORKLOAD.json FILE [--repeat K]
//
// What a plain serial HDF5 program needs to create a workload's datasets, empty and with default
// settings: the yardstick for Cairn's many-small saves. Cairn only gives the names of the dtypes.

#include <hdf5.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "baselines/plain_type.hpp"
#include "workload.hpp"

namespace {

hid_t checked(hid_t id, const std::string& what) {
  if (id < 0) throw std::runtime_error("cannot " + what);
  return id;
}

void create_dataset(hid_t file, hid_t link_creation, const bench::Tensor& tensor) {
  const std::vector<hsize_t> extent(tensor.shape.begin(), tensor.shape.end());
  const hid_t space = checked(
      H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), "make a space");
  const hid_t dataset = checked(H5Dcreate2(file, tensor.name.c_str(), bench::plain_type(tensor.dtype),
                                           space, link_creation, H5P_DEFAULT, H5P_DEFAULT),
                                "create " + tensor.name);
  H5Dclose(dataset);
  H5Sclose(space);
}

void create_file(const std::string& path, const bench::Workload& workload) {
  const hid_t file =
      checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), "create " + path);
  const hid_t link_creation = checked(H5Pcreate(H5P_LINK_CREATE), "make a property list");
  H5Pset_create_intermediate_group(link_creation, 1);
  for (const bench::Tensor& tensor : workload.tensors) create_dataset(file, link_creation, tensor);
  H5Pclose(link_creation);
  if (H5Fclose(file) < 0) throw std::runtime_error("cannot close " + path);
}

double seconds_to_create(const std::string& path, const bench::Workload& workload) {
  const auto start = std::chrono::steady_clock::now();
  create_file(path, workload);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bench::Workload read_workload(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return bench::parse_workload(std::string(std::istreambuf_iterator<char>(file), {}));
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void measure(const std::string& workload_path, const std::string& path, int repeat) {
  const bench::Workload workload = read_workload(workload_path);
  std::vector<double> seconds;
  for (int i = 0; i < repeat; ++i) {
    seconds.push_back(seconds_to_create(path, workload));
    std::printf("seconds:         %.4f\n", seconds.back());
  }
  std::printf("seconds, median: %.4f\n", median(seconds));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Creates the datasets of a workload, empty, with plain HDF5.", "h5-create");
  std::string workload;
  std::string path;
  int repeat = 1;
  app.add_option("workload", workload, "the tensors, a JSON file")->required();
  app.add_option("file", path, "the HDF5 file to create")->required();
  app.add_option("--repeat", repeat, "times to create it anew")->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
    measure(workload, path, repeat);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << "h5-create: " << error.what() << std::endl;
    return 1;
  }
  return 0;
}
