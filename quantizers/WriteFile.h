// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of LibTorch's half, whole or not at all.
#ifndef BQ_QUANTIZERS_WRITEFILE_H
#define BQ_QUANTIZERS_WRITEFILE_H

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace bq {

/// Takes the bytes of a file, in order and in parts.
using FileSink = std::function<void(const void *data, size_t size)>;

/// A PendingFile of what `emit` gives to its sink. Throws c10::Error that begins with the path, and what `emit` throws;
/// the file is then as it was.
void writeFile(const std::string &path, const std::function<void(const FileSink &)> &emit);
void writeFile(const std::string &path, std::string_view contents);

} // namespace bq

#endif // BQ_QUANTIZERS_WRITEFILE_H
