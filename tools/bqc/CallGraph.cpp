// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/CallGraph.h"

#include <array>

using namespace bq;
using namespace bq::cli;
using namespace bq::cuda;

namespace {

/// A stream that is being captured until end() or the end of its scope, by whatever way that is left.
class Capture {
public:
  Capture(const Driver &driver, Stream stream) : driver(driver), stream(stream) {
    // Calls may allocate, which the other modes forbid.
    const Result result = driver.api().streamBeginCapture(stream, captureModeRelaxed);
    isOpen = result == success;
    if (!isOpen)
      status = driver.error("capturing a stream", result);
  }
  ~Capture() {
    if (Expected<Graph> graph = end(); graph && *graph)
      driver.api().graphDestroy(*graph);
  }
  Capture(const Capture &) = delete;
  Capture &operator=(const Capture &) = delete;

  /// The graph, the caller's; null where it has been ended before.
  Expected<Graph> end() {
    Graph graph = nullptr;
    if (!std::exchange(isOpen, false))
      return graph;
    if (const Result result = driver.api().streamEndCapture(stream, &graph); result != success)
      return driver.error("ending the capture of a stream", result);
    return graph;
  }

  /// Whether it began.
  Status status;

private:
  const Driver &driver;
  const Stream stream;
  bool isOpen = false;
};

} // namespace

Expected<CallGraph> CallGraph::record(const CudaDevice &device, Stream stream, int64_t calls, const GpuCall &call) {
  const Driver &driver = device.driver();
  if (!driver.api().hasGraphs())
    return unsupported(
        "measuring needs CUDA graphs, which drivers for CUDA 11.4 and newer have; this one is for CUDA " +
        driver.version());
  CurrentContext context(device);
  if (!context.status)
    return context.status.error();
  Capture capture(driver, stream);
  Status status = capture.status;
  for (int64_t i = 0; status && i < calls; ++i)
    status = call(i);
  if (!status)
    return status.error();
  Expected<Graph> graph = capture.end();
  if (!graph)
    return graph.error();
  GraphExec exec = nullptr;
  const Result result = driver.api().graphInstantiate(&exec, *graph, 0);
  driver.api().graphDestroy(*graph);
  if (result != success)
    return driver.error("making a graph of " + std::to_string(calls) + " calls", result);
  return CallGraph(device, stream, calls, exec);
}

CallGraph::~CallGraph() {
  CurrentContext context(*device);
  if (exec && context.status)
    device->driver().api().graphExecDestroy(exec);
}

Expected<double> CallGraph::microseconds() const {
  const Driver &driver = device->driver();
  const DriverApi &api = driver.api();
  CurrentContext context(*device);
  Status status = context.status;
  auto step = [&](const char *what, auto function, auto... arguments) {
    if (!status)
      return;
    if (const Result result = function(arguments...); result != success)
      status = driver.error(what, result);
  };
  std::array<Event, 2> events{};
  for (Event &event : events)
    step("cuEventCreate", api.eventCreate, &event, 0u);
  // The first launch keeps the GPU busy until the second, which is measured, waits in the queue.
  step("cuGraphLaunch", api.graphLaunch, exec, stream);
  step("cuEventRecord", api.eventRecord, events[0], stream);
  step("cuGraphLaunch", api.graphLaunch, exec, stream);
  step("cuEventRecord", api.eventRecord, events[1], stream);
  step("cuEventSynchronize", api.eventSynchronize, events[1]);
  float milliseconds = 0;
  step("cuEventElapsedTime", api.eventElapsedTime, &milliseconds, events[0], events[1]);
  for (Event event : events)
    if (event)
      api.eventDestroy(event);
  if (!status)
    return status.error();
  return milliseconds * 1e3 / static_cast<double>(calls);
}
