// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CpuTarget.h"
#include "test/conformance/Conformance.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

using namespace bq;
using namespace bq::conformance;

namespace {

/// The command that runs the present test alone; read by the handler of fatal signals.
char reproducer[1024] = "";

extern "C" void printReproducer(int signal) {
  const ssize_t written = write(STDOUT_FILENO, reproducer, std::strlen(reproducer));
  std::signal(signal, SIG_DFL);
  std::raise(written < 0 ? SIGABRT : signal);
}

/// After each test that fails or ends the program, the command that runs it alone.
class Reproducer : public ::testing::EmptyTestEventListener {
public:
  Reproducer(std::string program, uint64_t seed) : program(std::move(program)), seed(seed) {
    for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
      std::signal(signal, printReproducer);
  }
  void OnTestStart(const ::testing::TestInfo &test) override {
    const char *cpu = std::getenv("BQ_CPU");
    const std::string environment = "BQ_FULL_TESTS=1 " + (cpu ? "BQ_CPU=" + std::string(cpu) + " " : "");
    std::snprintf(reproducer, sizeof(reproducer), "reproduce: %s%s --seed=%llu --gtest_filter='%s.%s'\n",
                  environment.c_str(), program.c_str(), static_cast<unsigned long long>(seed), test.test_suite_name(),
                  test.name());
  }
  void OnTestEnd(const ::testing::TestInfo &test) override {
    if (test.result()->Failed())
      std::fputs(reproducer, stdout);
  }

private:
  std::string program;
  uint64_t seed;
};

/// Whether BQ_CPU asks for a CPU that exists but is not this one.
bool wantsAnotherMachine() {
  const char *name = std::getenv("BQ_CPU");
  Expected<CpuTarget> target = CpuTarget::parse(name && *name ? name : "host");
  return target && !target->runsOn(CpuTarget::host());
}

void addBackend(const Candidate &candidate, uint64_t seed) {
  Subject subject{candidate.traits, candidate.name, nullptr};
  if (candidate.name == "cpu" && wantsAnotherMachine()) {
    addTest(subject, "Backend", "IsAvailable",
            [] { GTEST_SKIP() << "this machine cannot run BQ_CPU=" << std::getenv("BQ_CPU"); });
    return;
  }
  Expected<Backend *> backend = candidate.make();
  if (!backend) {
    addTest(subject, "Backend", "IsAvailable", [error = backend.error()] {
      if (error.code == ErrorCode::Unsupported)
        GTEST_SKIP() << error.message;
      FAIL() << error.message;
    });
    return;
  }
  subject.backend = *backend;
  addLinearTests(subject, seed);
  addGradientTests(subject, seed);
  addActivationTests(subject);
  addConv2dTests(subject, seed);
  addDirectConv2dTests(subject, seed);
  addRowTests(subject, seed);
  addMixedTests(subject, seed);
  addMixedConv2dTests(subject, seed);
  addMixedQuantizeTests(subject, seed);
  addQuantizeTests(subject, seed);
  addFakeQuantizeTests(subject, seed);
  addMagnitudeSumsTests(subject, seed);
  addNoiseTests(subject, seed);
  addUpdateTests(subject, seed);
  addRuleTests(subject);
}

} // namespace

int main(int argc, char **argv) {
  // Kernels of an earlier build must not stand in for those of this one.
  setenv("BQ_CACHE", "off", 0);
  const std::string program = argv[0];
  ::testing::InitGoogleTest(&argc, argv);
  uint64_t seed = 1;
  for (int i = 1; i < argc; ++i) {
    unsigned long long value = 0;
    char rest = 0;
    if (std::sscanf(argv[i], "--seed=%llu%c", &value, &rest) != 1) {
      std::fprintf(stderr, "%s: unknown argument '%s': use --seed=<number> or an option of GoogleTest\n",
                   program.c_str(), argv[i]);
      return 2;
    }
    seed = value;
  }
  for (const Candidate &candidate : candidates())
    addBackend(candidate, seed);
  ::testing::UnitTest::GetInstance()->listeners().Append(new Reproducer(program, seed));
  const int failed = RUN_ALL_TESTS();
  printRatios();
  return failed;
}
