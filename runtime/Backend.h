// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every backend can do: the meaning of each call is that of the reference backend, plain loops in double
/// precision.
#ifndef BQ_RUNTIME_BACKEND_H
#define BQ_RUNTIME_BACKEND_H

#include "dialect/core/Format.h"
#include "dialect/core/KernelAbi.h"
#include "dialect/core/Types.h"
#include "runtime/FakeQuantizeArgs.h"
#include "runtime/MagnitudeSumsArgs.h"
#include "runtime/UpdateArgs.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace bq {

struct DiffqNoiseArgs;
struct DiffqNoiseGradArgs;
struct WeightRangeArgs;

/// Runs body over disjoint ranges that cover [begin, end), on any threads, none shorter than `grain` but the last;
/// returns when all are done. The caller's: at::parallel_for in LibTorch programs. bq has no threads of its own.
using ParallelFor = void (*)(int64_t begin, int64_t end, int64_t grain,
                             const std::function<void(int64_t, int64_t)> &body);
/// The ParallelFor that runs everything on the calling thread.
void serialFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

/// What a weight of the format `mixed` has beside the rest: its codes are a stream of more than its own rows.
struct MixedPart {
  int64_t codeBytes = 0;  ///< Of the whole stream.
  int64_t streamRows = 0; ///< Rows of k weights that the stream is of.
  int64_t firstRow = 0;   ///< Of these the weight is rows [firstRow, firstRow + n).
  /// Columns of the weight are those of a convolution with so many taps, tap * channels + channel; the stream has them
  /// in the order channel * taps + tap.
  int64_t taps = 1;
  /// What keeps the codes alive, unchanged, and abi::MixedIndex::slack bytes behind them that may be read: a prepacked
  /// weight then reads them where they are. Null: it copies them.
  std::shared_ptr<const void> owner;
};

/// A quantized weight [n, k] in canonical form (Format), borrowed: contiguous memory that outlives the call.
struct CanonicalWeight {
  Format format;
  int64_t n = 0, k = 0;
  const uint8_t *codes = nullptr; ///< [n, format.rowBytes(k)]; for mixed [mixed.codeBytes]
  const void *scales = nullptr;   ///< [n, groupCount(k)]; for sign a [n] then b [k]; for mixed min, max, f32
  ElementType scaleType = ElementType::F32;
  const void *zeros = nullptr; ///< [n, groupCount(k)] of zeroType
  ZeroPointType zeroType = ZeroPointType::None;
  const float *table = nullptr; ///< [2^bits] for lut; nf4 and fp4 bring their own
  /// [k]: group of each column (GPTQ's activation order), or null. Each group must have exactly the columns that it has
  /// in order: groupSize(k), the last what is left.
  const int32_t *groupIndex = nullptr;
  /// [k], or null: column k of W is multiplied by columnFactors[k]. For linear() alone, and not for sign, whose columns
  /// have scales of their own.
  const float *columnFactors = nullptr;
  MixedPart mixed; ///< Of the format `mixed` alone.

  /// Whether the fields fit each other; errors name field, value and rule. Every Backend call checks this first.
  Status verify() const;
  /// The same for embedding() and dequantize(), which have no column factors.
  Status verifyRows() const;
};

/// A weight in the form a backend's kernels want. Immutable, owned by its holders, usable from any thread; never saved.
class PrepackedWeight {
public:
  virtual ~PrepackedWeight();
  virtual const Format &format() const = 0;
  virtual int64_t n() const = 0;
  virtual int64_t k() const = 0;
  /// Memory held, in bytes.
  virtual int64_t bytes() const = 0;
};

/// A product with a prepacked weight: a linear layer, or with `geometry` one group of a convolution or of a
/// convolution's gradient with respect to its input.
struct LinearArgs {
  ElementType dataType = ElementType::F32; ///< of x and y
  /// [m, k], rows xStride elements apart, columns contiguous; with `geometry` images whose patches are the rows.
  const void *x = nullptr;
  int64_t m = 0, xStride = 0;
  /// y = x W in place of x W^T, the gradient of a linear layer with respect to its input: x is [m, n] and y [m, k], and
  /// what else there is in x W^T has its default. With compute f32 or bf16, where bf16 means that x times the scale of
  /// a group is rounded to it.
  bool isGradient = false;
  /// Or null. m then is geometry->pixels(), and xStride is not read. Conv2dShape makes it.
  const abi::Conv2dGeometry *geometry = nullptr;
  /// 0: activations as `compute` takes them. 1 to 8, for compute i8: x is quantized with one f32 scale s, the only
  /// element of activationScale, to q = clamp(rint(x / s), -2^(bits-1), 2^(bits-1) - 1), or q = x >= 0 ? 1 : -1 for 1
  /// bit, and y = activation(s q W^T + bias), where q W^T inside each group is exact. A row that holds a NaN gives NaN
  /// throughout. Not for weights whose columns have scales (sign) or factors.
  int activationBits = 0;
  const float *activationScale = nullptr; ///< In the memory that x is in.
  const float *bias = nullptr;            ///< [n], or null
  Compute compute = Compute::F32;
  Activation activation = Activation::None;
  void *y = nullptr; ///< [m, n], rows yStride elements apart
  int64_t yStride = 0;

  /// Whether the fields fit each other and a weight [n, k]; errors name field, value and rule. Backend::linear checks
  /// this first. Nothing to do (m = 0) is no error.
  Status verify(int64_t n, int64_t k) const;
};

struct QuantizeArgs {
  Format format; ///< int, uint, nf4, fp4, sign (codes only: the caller chooses a and b)
  int64_t n = 0, k = 0;
  const void *weight = nullptr; ///< [n, k], rows `stride` elements apart
  ElementType dataType = ElementType::F32;
  int64_t stride = 0;
  ElementType scaleType = ElementType::F32;
  uint8_t *codes = nullptr; ///< [n, rowBytes(k)], written whole
  void *scales = nullptr;   ///< [n, groupCount(k)] of scaleType
  uint8_t *zeros = nullptr; ///< [n, groupCount(k)] for uint, else null

  Status verify() const;
};

/// All calls may come from any thread; each may compile, which takes milliseconds the first time a kernel is needed.
class Backend {
public:
  virtual ~Backend();
  virtual std::string_view name() const = 0;

  virtual Expected<std::shared_ptr<const PrepackedWeight>> prepack(const CanonicalWeight &weight,
                                                                   ParallelFor parallel) = 0;
  /// y = activation(x W^T + bias), or x W: kernels for CPUs have none for that and give Unsupported, and those for GPUs
  /// where the format is `mixed`, or where a table's values are not exact in bf16 and the compute is f32. `weight` must
  /// come from this backend's prepack().
  virtual Status linear(const PrepackedWeight &weight, const LinearArgs &args, ParallelFor parallel) = 0;
  /// y[i, :] = W[indices[i], :] in weight.scaleType, y contiguous. Indices outside [0, n) are an error; nothing is
  /// written.
  virtual Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                           ParallelFor parallel) = 0;
  /// y = W [n, k] in weight.scaleType, contiguous.
  virtual Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel) = 0;
  virtual Status quantize(const QuantizeArgs &args, ParallelFor parallel) = 0;
  /// y = x rounded to the values of a format, and the gradient of that. The same bits for any number of threads.
  virtual Status fakeQuantize(const FakeQuantizeArgs &args, ParallelFor parallel) = 0;
  virtual Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, ParallelFor parallel) = 0;
  /// One step of an optimizer on a weight, in place, with its moments. The same bits for any number of threads. A
  /// gradient that holds NaN or infinity is an error that says where, and nothing is changed.
  virtual Status update(const UpdateArgs &args, ParallelFor parallel);
  /// Sums of the magnitudes of a float weight; the same bits for any number of threads. Unsupported where a backend
  /// does not have it.
  virtual Status magnitudeSums(const MagnitudeSumsArgs &args, ParallelFor parallel);
  /// A weight with noise, its gradients, and the range that noise counts in (runtime/DiffqNoiseArgs.h); the same bits
  /// for any number of threads. Unsupported where a backend does not have them.
  virtual Status diffqNoise(const DiffqNoiseArgs &args, ParallelFor parallel);
  virtual Status diffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor parallel);
  virtual Status weightRange(const WeightRangeArgs &args, ParallelFor parallel);
};

/// Plain loops in double precision: what every op means. Lives as long as the process.
Backend &referenceBackend();
/// Kernels made for this CPU (or BQ_CPU) by the process-wide KernelCache; an error where BQ_CPU or the cache's
/// environment variables are wrong. Lives as long as the process.
Expected<Backend *> cpuBackend();

} // namespace bq

#endif // BQ_RUNTIME_BACKEND_H
