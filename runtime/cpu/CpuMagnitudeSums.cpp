// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuMagnitudeSums.h"

#include "dialect/core/KernelAbi.h"

#include <algorithm>
#include <vector>

using namespace bq;

Status bq::runMagnitudeSums(const MagnitudeSumsArgs &args, const CpuTarget &target, KernelCache &cache,
                            ParallelFor parallel) {
  CompileRequest request;
  request.target = target;
  request.spec.op = KernelSpec::Op::MagnitudeSums;
  request.spec.k = args.k;
  request.spec.dataType = args.dataType;
  request.spec.square = args.square;
  request.spec.divide = args.divide;
  Expected<std::shared_ptr<const Kernel>> kernel = cache.get(request);
  if (!kernel)
    return kernel.error();

  const int64_t chunks = (args.n + abi::magnitudeChunk - 1) / abi::magnitudeChunk;
  std::vector<float> partials(chunks * args.k);
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 15) / (abi::magnitudeChunk * args.k));
  parallel(0, chunks, grain, [&](int64_t begin, int64_t end) {
    (*kernel)->magnitudeSums()(args.weight, args.rowFactors, args.columnFactors, args.rows, args.next, partials.data(),
                               args.floor, args.stride, args.n, begin, end);
  });
  // A thread owns columns, so the order of a sum is that of the chunks.
  parallel(0, args.k, std::max<int64_t>(1, (int64_t{1} << 15) / std::max<int64_t>(1, chunks)),
           [&](int64_t begin, int64_t end) {
             std::fill(args.columns + begin, args.columns + end, 0.0);
             for (int64_t chunk = 0; chunk < chunks; ++chunk)
               for (int64_t column = begin; column < end; ++column)
                 args.columns[column] += partials[chunk * args.k + column];
           });
  return {};
}
