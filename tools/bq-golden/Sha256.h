// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// SHA-256 of a file.
#ifndef BQ_TOOLS_BQ_GOLDEN_SHA256_H
#define BQ_TOOLS_BQ_GOLDEN_SHA256_H

#include <string>

namespace bq::golden {

/// The digest (FIPS 180-4) of a file's bytes as 64 lower-case hexadecimal digits. Throws c10::Error, naming the path,
/// where the file cannot be read.
std::string fileSha256(const std::string &path);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_SHA256_H
