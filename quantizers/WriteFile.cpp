// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/WriteFile.h"

#include "runtime/PendingFile.h"

#include <c10/util/Exception.h>

using namespace bq;

namespace {

void require(const Status &status) { TORCH_CHECK(status, status.error().message); }

} // namespace

void bq::writeFile(const std::string &path, const std::function<void(const FileSink &)> &emit) {
  Expected<PendingFile> file = PendingFile::create(path);
  TORCH_CHECK(file, file.error().message);
  emit([&](const void *data, size_t size) { require(file->write(data, size)); });
  require(file->commit());
}

void bq::writeFile(const std::string &path, std::string_view contents) {
  writeFile(path, [&](const FileSink &sink) { sink(contents.data(), contents.size()); });
}
