# What Cairn links against. Read by the build and by the installed package alike.
set(MPI_CXX_SKIP_MPICXX ON) # else the C++ bindings that MPI 3 removed come along
find_package(MPI REQUIRED COMPONENTS C CXX)
if(cairn_needs_mpi_only) # a shared Cairn brings the rest along
  return()
endif()
set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "Cairn needs an HDF5 that was built with MPI (Debian: libhdf5-openmpi-dev)")
endif()
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
