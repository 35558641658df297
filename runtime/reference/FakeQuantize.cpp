// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/FakeQuantize.h"

#include "dialect/core/Half.h"

#include <cmath>

using namespace bq;
using namespace bq::reference;

FakeQuantized bq::reference::fakeQuantizeElement(const Format &format, float x, float scale, float zero) {
  const float least = static_cast<float>(format.leastValue()), greatest = static_cast<float>(format.greatestValue());
  const float s = scale < minNormal(ElementType::F32) ? minNormal(ElementType::F32) : scale;
  const float quotient = x / s, t = quotient + zero;
  const float clamped = t < least ? least : t > greatest ? greatest : t;
  const bool isSign = format.kind == Format::Kind::Sign;
  const float q = !isSign ? std::nearbyint(clamped) : x >= 0 ? 1.0f : x < 0 ? -1.0f : x;
  FakeQuantized result;
  result.isInside = !(t < least || t > greatest);
  result.y = s * (q - zero);
  result.slope = q - (result.isInside ? t : zero);
  return result;
}

static FakeQuantized elementOf(const FakeQuantizeArgs &args, int64_t row, int64_t index) {
  return fakeQuantizeElement(args.format, loadElement(args.dataType, args.x, index), args.scale[row],
                             args.zero ? args.zero[row] : 0.0f);
}

void bq::reference::fakeQuantize(const FakeQuantizeArgs &args, int64_t row) {
  for (int64_t i = row * args.columns; i < (row + 1) * args.columns; ++i)
    storeElement(args.dataType, args.y, i, elementOf(args, row, i).y);
}

void bq::reference::fakeQuantizeGrad(const FakeQuantizeGradArgs &args, int64_t row) {
  const FakeQuantizeArgs &forward = args.forward;
  double sum = 0;
  for (int64_t i = row * forward.columns; i < (row + 1) * forward.columns; ++i) {
    const FakeQuantized element = elementOf(forward, row, i);
    const float gradient = loadElement(forward.dataType, args.gradient, i);
    storeElement(forward.dataType, args.xGradient, i, element.isInside ? gradient : 0.0f);
    sum += static_cast<double>(gradient) * element.slope;
  }
  args.scaleGradient[row] = static_cast<float>(sum);
}
