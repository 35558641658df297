// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "runtime/reference/Reference.h"
#include "test/conformance/UpdateCheck.h"

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

static int64_t momentBytes(MomentType type) {
  return type == MomentType::None ? 0 : type == MomentType::F32 ? 4 : type == MomentType::Block8 ? 1 : 2;
}

UpdateState::UpdateState(const UpdateArgs &args)
    : weight(args.packed ? 0 : args.n * args.k * sizeOf(args.weightType)),
      codes(args.packed ? args.n * args.packed->format.rowBytes(args.k) : 0),
      scales(args.packed && args.packed->format.kind != Format::Kind::Sign
                 ? args.n * args.packed->format.groupCount(args.k) * sizeOf(args.packed->scaleType)
                 : 0),
      zeros(!args.packed || args.packed->zeroType == ZeroPointType::None
                ? 0
                : args.n * args.packed->format.groupCount(args.k) *
                      (args.packed->zeroType == ZeroPointType::F32 ? 4 : 1)),
      residual(args.packed && args.packed->rounding == Rounding::Residual ? args.n * args.k : 0),
      m(args.n * args.k * momentBytes(args.moments)), v(m.size()),
      mScales(args.moments == MomentType::Block8 ? 4 * args.n * ((args.k + abi::momentBlock - 1) / abi::momentBlock)
                                                 : 0),
      vScales(mScales.size()) {
  assign(std::vector<uint8_t>(bytes().size()));
}

void UpdateState::writeTo(UpdateArgs &args) const {
  auto pointer = [](const GuardedBuffer &buffer) -> void * { return buffer.size() ? buffer.data() : nullptr; };
  args.weight = pointer(weight);
  args.m = pointer(m), args.v = pointer(v);
  args.mScales = static_cast<float *>(pointer(mScales)), args.vScales = static_cast<float *>(pointer(vScales));
  if (!args.packed)
    return;
  args.packed->codes = codes.data();
  args.packed->scales = pointer(scales), args.packed->zeros = pointer(zeros);
  args.packed->residual = static_cast<int8_t *>(pointer(residual));
}

std::vector<uint8_t> UpdateState::bytes() const {
  std::vector<uint8_t> all;
  for (const GuardedBuffer *buffer : {&weight, &codes, &scales, &zeros, &residual, &m, &v, &mScales, &vScales})
    all.insert(all.end(), buffer->data(), buffer->data() + buffer->size());
  return all;
}

void UpdateState::assign(const std::vector<uint8_t> &bytes) {
  auto next = bytes.begin();
  for (GuardedBuffer *buffer : {&weight, &codes, &scales, &zeros, &residual, &m, &v, &mScales, &vScales}) {
    std::copy(next, next + buffer->size(), buffer->data());
    next += buffer->size();
  }
}

bool UpdateState::intactBefore() const {
  for (const GuardedBuffer *buffer : {&weight, &codes, &scales, &zeros, &residual, &m, &v, &mScales, &vScales})
    if (!buffer->intactBefore())
      return false;
  return true;
}

double bq::conformance::weightOf(const UpdateArgs &args, int64_t row, int64_t column) {
  const PackedTarget &w = *args.packed;
  const CanonicalWeight canonical{w.format, args.n, args.k, w.codes, w.scales, w.scaleType, w.zeros, w.zeroType};
  const int64_t group = row * w.format.groupCount(args.k) + column / w.format.groupSize(args.k);
  const double residual = w.residual ? w.residual[row * args.k + column] / 256.0 : 0;
  return reference::weightAt(canonical, row, column) + residual * loadElement(w.scaleType, w.scales, group);
}
