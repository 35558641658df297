// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/ReusedMemory.h"

#include "quantizers/Tensors.h"
#include "runtime/AlignedBuffer.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

using namespace bq;

using at::Tensor;

namespace {

/// What the system gives on huge pages.
constexpr size_t reusedFrom = size_t{1} << 20;
constexpr size_t mostKept = size_t{1} << 30;

/// Memory that nobody owns, the latest last.
class FreeBuffers {
public:
  AlignedBuffer take(size_t bytes) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      const auto found =
          std::find_if(buffers.rbegin(), buffers.rend(), [&](const auto &buffer) { return buffer.size() == bytes; });
      if (found != buffers.rend()) {
        AlignedBuffer buffer = std::move(*found);
        buffers.erase(std::next(found).base());
        kept -= bytes;
        return buffer;
      }
    }
    return bq::take("memory", AlignedBuffer::allocate(bytes));
  }

  void give(AlignedBuffer buffer) {
    std::vector<AlignedBuffer> dropped; // Unmapped when the lock is open again.
    buffer.discard();
    const std::lock_guard<std::mutex> lock(mutex);
    kept += buffer.size();
    buffers.push_back(std::move(buffer));
    for (; kept > mostKept; buffers.erase(buffers.begin())) {
      kept -= buffers.front().size();
      dropped.push_back(std::move(buffers.front()));
    }
  }

private:
  std::mutex mutex;
  std::vector<AlignedBuffer> buffers;
  size_t kept = 0; ///< Bytes of all.
};

FreeBuffers &freeBuffers() {
  static auto *buffers = new FreeBuffers; // Tensors may be freed after static objects are.
  return *buffers;
}

} // namespace

Tensor bq::emptyReused(const Tensor &like) {
  if (!like.is_cpu() || like.nbytes() < reusedFrom)
    return at::empty_like(like, at::MemoryFormat::Contiguous);
  auto memory = std::make_shared<AlignedBuffer>(freeBuffers().take(like.nbytes()));
  void *data = memory->data();
  return at::from_blob(
      data, like.sizes(), [memory](void *) { freeBuffers().give(std::move(*memory)); }, like.options());
}
