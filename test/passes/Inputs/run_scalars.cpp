// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Calls the kernels of convert-to-emitc-run.mlir, which this is compiled with, and prints what they store.
#include <cstdio>

static void runIntegers(int32_t a, int32_t b) {
  int32_t out[20];
  integers(a, b, out);
  std::printf("integers(%d, %d)", a, b);
  for (int32_t value : out)
    std::printf(" %d", value);
  std::printf("\n");
}

static void runShifts(int32_t a, int32_t by) {
  int32_t out[3];
  shifts(a, by, out);
  std::printf("shifts(%d, %d) %d %d %d\n", a, by, out[0], out[1], out[2]);
}

static void runWide(int32_t a, int64_t l) {
  int64_t out[7];
  wide(a, l, out);
  std::printf("wide(%d, %lld)", a, static_cast<long long>(l));
  for (int64_t value : out)
    std::printf(" %lld", static_cast<long long>(value));
  std::printf("\n");
}

static void runCompare(float x, float y) {
  int32_t out[14];
  compare(x, y, out);
  std::printf("compare(%g, %g) ", x, y);
  for (int32_t value : out)
    std::printf("%d", value);
  std::printf("\n");
}

int main() {
  BQEmuApi api = {};
  api.accessGlobal = [](const void *, int, BQEmuAccess, BQEmuSite) {};
  bqEmuApi = &api;

  runIntegers(2147483647, 1);
  runIntegers(-2147483647 - 1, 3);
  runIntegers(-7, 65537);
  runIntegers(6, -1);
  runShifts(-256, 4);
  runShifts(-1, 31);
  runWide(-1, 4);
  runWide(7, 9223372036854775807);
  runCompare(1, 2);
  runCompare(2, 1);
  runCompare(1, 1);
  runCompare(1, __builtin_nanf(""));

  float constants[8];
  floatConstants(constants);
  std::printf("constants");
  for (float value : constants)
    std::printf(" %08x", static_cast<unsigned>(bq_bits(value)));
  std::printf("\n");

  float casts[5];
  floatCasts(-1, -2.75f, 3e9f, casts);
  std::printf("casts");
  for (float value : casts)
    std::printf(" %.9g", value);
  std::printf("\n");
}
