# To parse these again for each file was a good part of a clean build. Files still include what they use: -DCAIRN_PRECOMPILE=OFF builds without.
# Large header-only libraries do not belong here: GCC looks at all of their functions again in every file, seven seconds of each with CLI11 and nlohmann-json.
option(CAIRN_PRECOMPILE "Parse the headers of std::, MPI and the tests once" ${PROJECT_IS_TOP_LEVEL})

# cairn_precompile(TARGET [<header>…]): the usual ones and these.
function(cairn_precompile target)
  if(CAIRN_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE <algorithm> <array> <chrono> <cstdint> <cstring>
      <deque> <filesystem> <functional> <map> <memory> <mutex> <optional> <set> <span> <string>
      <string_view> <thread> <utility> <vector> <mpi.h> ${ARGN})
  endif()
endfunction()
