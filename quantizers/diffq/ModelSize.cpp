// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/ModelQuantizer.h"

#include <torch/utils.h>
#include <zlib.h>

#include <algorithm>
#include <thread>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

namespace {

constexpr double bytesOfMb = 1048576;

std::string fileOf(const QuantizedState &state) {
  std::string bytes;
  writeSafeTensors("the state", state,
                   [&](const void *data, size_t size) { bytes.append(static_cast<const char *>(data), size); });
  return bytes;
}

size_t deflatedBytes(const std::string &bytes, size_t begin, size_t end, int level) {
  uLongf size = compressBound(end - begin);
  std::vector<Bytef> out(size);
  const int status =
      compress2(out.data(), &size, reinterpret_cast<const Bytef *>(bytes.data()) + begin, end - begin, level);
  return status == Z_OK ? size : 0;
}

} // namespace

double ModelQuantizer::keptBits() const {
  double bits = 0;
  for (const Kept &tensor : keptTensors()) {
    // DiffQ counts every element that stays as one of float32, and no buffers.
    if (upstreamCompatible && tensor.storage == "buffer")
      continue;
    const int64_t width = tensor.storage == "float16" ? 16
                          : upstreamCompatible        ? 32
                                                      : 8 * static_cast<int64_t>(tensor.tensor.element_size());
    bits += static_cast<double>(tensor.tensor.numel() * width);
  }
  return bits;
}

Tensor ModelQuantizer::modelSize(bool exact) const {
  checkAttached();
  return (quantizedBits(exact) + keptBits()) / (8 * bytesOfMb);
}

double ModelQuantizer::trueModelSize() const {
  const at::NoGradGuard noGradient;
  return modelSize(/*exact=*/true).item<double>();
}

double ModelQuantizer::packedModelSize() const {
  double bytes = 0;
  writeSafeTensors("the state", getQuantizedState(),
                   [&](const void *, size_t size) { bytes += static_cast<double>(size); });
  return bytes / bytesOfMb;
}

double ModelQuantizer::compressedModelSize(int level, int64_t workers) const {
  TORCH_CHECK(level >= -1 && level <= 9, kind, ": the level of compression is ", level, ", expected -1 to 9");
  TORCH_CHECK(workers >= 1, kind, ": ", workers, " workers, expected 1 or more");
  const std::string bytes = fileOf(getQuantizedState(/*packed=*/false));
  const size_t parts = std::min<size_t>(workers, std::max(1U, std::thread::hardware_concurrency()));
  std::vector<size_t> sizes(parts);
  std::vector<std::thread> threads;
  for (size_t part = 0; part < parts; ++part)
    threads.emplace_back([&, part] {
      sizes[part] = deflatedBytes(bytes, bytes.size() * part / parts, bytes.size() * (part + 1) / parts, level);
    });
  double total = 0;
  for (size_t part = 0; part < parts; ++part) {
    threads[part].join();
    TORCH_CHECK(sizes[part] > 0, kind, ": out of memory while the state was compressed");
    total += static_cast<double>(sizes[part]);
  }
  return total / bytesOfMb;
}
