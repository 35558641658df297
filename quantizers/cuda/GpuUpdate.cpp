// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuUpdate.h"
#include "quantizers/cuda/GpuRows.h"

#include "runtime/NotFinite.h"
#include "runtime/cuda/CudaUpdate.h"

#include <map>
#include <mutex>
#include <vector>

using namespace bq;
using namespace bq::gpu;

namespace {

/// Bits of a ticket for the place in a gradient: every gradient that fits a memory has fewer elements.
constexpr int placeBits = 40;

/// A gradient of a weight that steps are taken on.
struct Watched {
  std::string name;
  int64_t columns; ///< As notFinite() takes them.

  bool operator<(const Watched &other) const { return std::tie(name, columns) < std::tie(other.name, other.columns); }
};

/// What has been found on a stream. Usable from any thread.
class Findings {
public:
  explicit Findings(const Place &place)
      : found(at::zeros({1}, at::device(place.tensors).dtype(at::kLong))),
        host(at::zeros({1}, at::device(at::kCPU).dtype(at::kLong).pinned_memory(place.tensors.is_cuda()))) {}

  /// The ticket of a gradient: the same for the same name and columns, so that they stay few.
  GradientReport reportFor(const std::string &name, int64_t columns) {
    std::lock_guard<std::mutex> guard(mutex);
    auto [known, isNew] = numbers.try_emplace({name, columns}, static_cast<int64_t>(watched.size()));
    if (isNew)
      watched.push_back(known->first);
    return {found.data_ptr<int64_t>(), host.data_ptr<int64_t>(), (known->second + 1) << placeBits};
  }
  const int64_t *flag() const { return found.const_data_ptr<int64_t>(); }

  /// The name and the error of what has been found since the last time, if anything; steps are taken again then.
  std::optional<std::pair<std::string, Error>> take(bool waits) {
    auto *onHost = host.data_ptr<int64_t>();
    const int64_t finding = waits ? found.item<int64_t>() : __atomic_load_n(onHost, __ATOMIC_ACQUIRE);
    if (!finding)
      return std::nullopt;
    __atomic_store_n(onHost, 0, __ATOMIC_RELEASE);
    found.zero_();
    std::lock_guard<std::mutex> guard(mutex);
    const Watched &of = watched[(finding >> placeBits) - 1];
    return std::pair(of.name, notFinite(finding & ((int64_t{1} << placeBits) - 1), of.columns));
  }

private:
  at::Tensor found, host;
  std::mutex mutex;
  std::map<Watched, int64_t> numbers; ///< Under the mutex, as the next.
  std::vector<Watched> watched;
};

/// Never destroyed: kernels on the stream may write to them at any time.
Findings &findingsOf(const char *op, const Place &place) {
  static auto *mutex = new std::mutex;
  static auto *known = new std::map<std::pair<const CudaDevice *, cuda::Stream>, std::unique_ptr<Findings>>;
  std::lock_guard<std::mutex> guard(*mutex);
  std::unique_ptr<Findings> &findings = (*known)[{place.device, place.stream}];
  if (!findings) {
    checkNotCapturing(op, place, "memory for what is wrong with a gradient");
    findings = std::make_unique<Findings>(place);
  }
  return *findings;
}

void report(const char *op, Findings &findings, bool waits) {
  if (const auto finding = findings.take(waits))
    raise(op, Error{finding->second.code, "'" + finding->first + "': " + finding->second.message});
}

/// Whether a step with another number would be another step, beside its options.
bool dependsOnNumber(const UpdateArgs &args) {
  const bool hasRandomMoments = args.moments != MomentType::None && args.moments != MomentType::F32;
  return args.biasCorrection || hasRandomMoments || (args.packed && args.packed->rounding != Rounding::Nearest);
}

} // namespace

void gpu::report(const char *op, const Place &place, bool waits) { ::report(op, findingsOf(op, place), waits); }

void gpu::watch(const char *op, const Place &place, const UpdateArgs &args, const std::string &name) {
  // The look is the same in the kernels of every step on gradients of a type.
  UpdateArgs plain;
  plain.rule = UpdateRule::Direction;
  plain.dataType = args.dataType;
  Findings &findings = findingsOf(op, place);
  ::report(op, findings, /*waits=*/false);
  const LoadedCudaKernel &kernel = kernelFor(op, place, gpuUpdateSpec(plain));
  check(op, checkGradient(kernel, args, findings.reportFor(name, args.packed ? args.k : 0), place.stream));
}

void gpu::update(const char *op, const Place &place, const UpdateArgs &args, const std::string &name) {
  if (Status status = args.verify(); !status)
    raise(op, Error{status.error().code, "'" + name + "': " + status.error().message});
  Findings &findings = findingsOf(op, place);
  ::report(op, findings, /*waits=*/false);
  if (!args.n)
    return;
  const LoadedCudaKernel &kernel = kernelFor(op, place, gpuUpdateSpec(args));
  TORCH_CHECK(!dependsOnNumber(args) || !isCapturing(op, place), op, ": the step on '", name,
              "' depends on its number, and the stream is captured into a graph, which would repeat it: capture what "
              "comes before, and step outside");
  if (!args.gradientIsFinite)
    check(op, checkGradient(kernel, args, findings.reportFor(name, args.packed ? args.k : 0), place.stream));
  const int64_t bytes = updateMemoryBytes(args, kernel.kernel().artifact().scratchBytes);
  const at::Tensor memory = at::empty({bytes}, at::device(place.tensors).dtype(at::kByte));
  check(op, runUpdate(kernel, args, findings.flag(), bytes ? memory.mutable_data_ptr() : nullptr, place.stream));
}
