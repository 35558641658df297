// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

namespace {

/// Integers below 2^24 are exact in f32, and so are their products with a power of two: with such scales there is one
/// right result, that of the codes that x is rounded to, ties to even.
void activationsWithOneScaleAreExact(Backend &backend) {
  constexpr int64_t m = 17, n = 5, k = 67;
  Random random(3);
  std::vector<uint8_t> codes(n * k);
  for (uint8_t &code : codes)
    code = static_cast<uint8_t>(random.next());
  const std::vector<float> scales(n, 1.0f);
  CanonicalWeight weight;
  weight.format = *Format::parse("int8");
  weight.n = n;
  weight.k = k;
  weight.codes = codes.data();
  weight.scales = scales.data();
  auto prepacked = backend.prepack(weight, &serialFor);
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  constexpr float scale = 0.25f;
  std::vector<float> x(m * k), y(m * n);
  // Multiples of half a step, beyond both ends.
  for (float &value : x)
    value = static_cast<float>(random.below(800) - 400) * scale / 2;
  for (int bits = 1; bits <= 8; ++bits) {
    LinearArgs args;
    args.x = x.data();
    args.m = m;
    args.xStride = k;
    args.compute = Compute::I8;
    args.activationBits = bits;
    args.activationScale = &scale;
    args.y = y.data();
    args.yStride = n;
    const Status status = backend.linear(**prepacked, args, &serialFor);
    ASSERT_TRUE(status) << status.error().message;
    const int64_t levels = int64_t{1} << (bits - 1);
    for (int64_t i = 0; i < m * n; ++i) {
      int64_t sum = 0;
      for (int64_t c = 0; c < k; ++c) {
        const auto halves = static_cast<int64_t>(x[i / n * k + c] * 8);
        const int64_t floor = (halves + 1024) / 2 - 512, even = halves % 2 == 0 || floor % 2 == 0 ? floor : floor + 1;
        const int64_t code = bits == 1 ? (halves < 0 ? -1 : 1) : std::clamp(even, -levels, levels - 1);
        sum += code * static_cast<int8_t>(codes[i % n * k + c]);
      }
      ASSERT_EQ(y[i], static_cast<float>(sum) * scale) << bits << " bits, row " << i / n << ", column " << i % n;
    }
  }
}

} // namespace

void bq::conformance::addActivationTests(const Subject &subject) {
  addTest(subject, "Activations", "OneScaleIsExact",
          [backend = subject.backend] { activationsWithOneScaleAreExact(*backend); });
}
