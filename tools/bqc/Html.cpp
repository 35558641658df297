// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Html.h"

std::string bq::cli::escapeHtml(std::string_view text) {
  std::string result;
  for (char c : text)
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    default:
      result += c;
    }
  return result;
}
