// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text in the pages that reports are.
#ifndef BQ_TOOLS_BQC_HTML_H
#define BQ_TOOLS_BQC_HTML_H

#include <string>
#include <string_view>

namespace bq::cli {

/// The text as an HTML page shows it literally, in content or between double quotes.
std::string escapeHtml(std::string_view text);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_HTML_H
