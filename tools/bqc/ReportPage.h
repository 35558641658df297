// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The report of `bqc quantize` as a page.
#ifndef BQ_TOOLS_BQC_REPORTPAGE_H
#define BQ_TOOLS_BQC_REPORTPAGE_H

#include <nlohmann/json.hpp>

#include <string>

namespace bq::cli {

/// HTML that needs nothing else, of the object that the report is as JSON: sizes, and a bar for the error of each
/// layer, in the object's order.
std::string reportPage(const nlohmann::ordered_json &report);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_REPORTPAGE_H
