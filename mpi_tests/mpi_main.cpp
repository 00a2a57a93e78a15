// The main of tests that run under mpirun: a failure on any rank fails the run and names the rank.
// CAIRN_TEST_THREADS=multiple asks MPI for MPI_THREAD_MULTIPLE.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  int level = 0;
  const char* const threads = std::getenv("CAIRN_TEST_THREADS");
  const bool multiple = threads != nullptr && std::string_view(threads) == "multiple";
  const int wanted = multiple ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED;
  MPI_Init_thread(&argc, &argv, wanted, &level);
  if (level != wanted) {
    std::printf("MPI gives thread level %d, wanted is %d\n", level, wanted);
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 0) {  // one rank tells the story; the others speak when they fail
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    struct FailuresOnly : ::testing::EmptyTestEventListener {
      int rank = 0;
      void OnTestPartResult(const ::testing::TestPartResult& result) override {
        if (result.failed()) {
          std::printf("rank %d: %s:%d: %s\n", rank, result.file_name(), result.line_number(),
                      result.message());
          std::fflush(stdout);
        }
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    auto* failures = new FailuresOnly;
    failures->rank = rank;
    listeners.Append(failures);
  }
  int failed = RUN_ALL_TESTS();
  if (::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
    std::printf("rank %d: no test has such a name\n", rank);
    failed = 1;
  }
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return failed;
}
