// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/FakeQuantizeCalls.h"

#include "runtime/FakeQuantizeSpec.h"
#include "test/gpu/Operands.h"

using namespace bq;
using namespace bq::test;

static FakeQuantizeArgs copy(const FakeQuantizeArgs &args, Operands &operands) {
  FakeQuantizeArgs onDevice = args;
  onDevice.x = operands.read(args.x, args.rows * args.columns * sizeOf(args.dataType));
  onDevice.scale = operands.read(args.scale, args.rows * 4, alignof(float));
  onDevice.zero = operands.read(args.zero, args.rows * 4, alignof(float));
  return onDevice;
}

Status test::runFakeQuantize(const DeviceMemory &memory, CudaRows &rows, const FakeQuantizeArgs &args) {
  if (Status status = args.verify(); !status || !args.tasks())
    return status;
  Operands operands(memory);
  FakeQuantizeArgs onDevice = copy(args, operands);
  onDevice.y = operands.write(args.y, args.rows * args.columns * sizeOf(args.dataType));
  if (!operands.status())
    return operands.status();
  Status status = rows.fakeQuantize(onDevice, nullptr);
  return status ? operands.finish() : status;
}

Status test::runFakeQuantizeGrad(const DeviceMemory &memory, CudaRows &rows, const FakeQuantizeGradArgs &args) {
  if (Status status = args.verify(); !status)
    return status;
  const FakeQuantizeArgs &forward = args.forward;
  const int64_t bytes = forward.rows * forward.columns * sizeOf(forward.dataType);
  std::vector<float> partials(forward.tasks());
  Operands operands(memory);
  FakeQuantizeGradArgs onDevice{copy(forward, operands), operands.read(args.gradient, bytes),
                                operands.write(args.xGradient, bytes), nullptr};
  float *sums = operands.write(partials.data(), static_cast<int64_t>(partials.size() * sizeof(float)));
  if (!operands.status())
    return operands.status();
  if (Status status = rows.fakeQuantizeGrad(onDevice, sums, nullptr); !status)
    return status;
  if (Status status = operands.finish(); !status)
    return status;
  addPartials(args, partials);
  return {};
}
