// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The functions of libcuda.so.1 for graphs and events. A graph only counts the launches that were captured, and time is
// no time: a millisecond between any two events.
#include "FakeDriver.h"

#include "runtime/cuda/DriverApi.h"

using namespace bq::cuda;
using namespace bq::test;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr Result invalidValue = 1, notCapturing = 901;

Stream captured = nullptr;
int capturedLaunches = 0;

void note(const char *call) { fakeDriver().graphCalls.push_back(call); }

/// Handles of graphs and events: numbers that are not null.
void *handle(intptr_t number) { return reinterpret_cast<void *>(number); }

} // namespace

bool bq::test::isRecordedInGraph(Stream stream) {
  if (!captured || stream != captured)
    return false;
  ++capturedLaunches;
  note("cuLaunchKernel");
  return true;
}

EXPORT Result cuEventCreate(void **event, unsigned) {
  *event = handle(1);
  return success;
}

EXPORT Result cuEventDestroy_v2(void *) { return success; }

EXPORT Result cuEventRecord(void *, Stream) {
  note("cuEventRecord");
  return success;
}

EXPORT Result cuEventSynchronize(void *) {
  note("cuEventSynchronize");
  return success;
}

EXPORT Result cuEventElapsedTime(float *milliseconds, void *, void *) {
  *milliseconds = 1;
  return success;
}

#ifndef BQ_FAKE_OLD

EXPORT Result cuStreamBeginCapture_v2(Stream stream, int mode) {
  note("cuStreamBeginCapture");
  // The default stream cannot be captured, and calls that allocate need the relaxed mode.
  if (!stream || captured || mode != captureModeRelaxed)
    return invalidValue;
  captured = stream;
  capturedLaunches = 0;
  return success;
}

EXPORT Result cuStreamEndCapture(Stream stream, void **graph) {
  note("cuStreamEndCapture");
  if (!captured || stream != captured)
    return notCapturing;
  captured = nullptr;
  *graph = handle(capturedLaunches + 1);
  return success;
}

EXPORT Result cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long) {
  note("cuGraphInstantiate");
  *exec = graph;
  return fakeDriver().behaviour.instantiateResult;
}

EXPORT Result cuGraphLaunch(void *exec, Stream) {
  note("cuGraphLaunch");
  fakeDriver().launches += static_cast<int>(reinterpret_cast<intptr_t>(exec)) - 1;
  return success;
}

EXPORT Result cuGraphExecDestroy(void *) {
  note("cuGraphExecDestroy");
  return success;
}

EXPORT Result cuGraphDestroy(void *) {
  note("cuGraphDestroy");
  return success;
}

#endif
