// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The packed weight that cases of bitorch-engine describe.
#ifndef BQ_TOOLS_BQ_GOLDEN_OPS_GPTQCASE_H
#define BQ_TOOLS_BQ_GOLDEN_OPS_GPTQCASE_H

#include "quantizers/nbit/Gba.h"
#include "quantizers/nbit/Gptq.h"
#include "tools/bq-golden/Case.h"

namespace bq::golden {

/// The inputs qstatistic, qscales and their constants.
GbaStatistics gbaStatistics(const Case &given);

/// From the inputs qweight, scales, zeros, g_idx, q_perm and the parameters w_bit, in, asym. Scales, and zero points
/// that are not packed, come from gbaStatistics() where they are not given. Zero points of an asymmetric weight are
/// stored minus one, those of another one are scaled.
GptqWeight gptqWeight(const Case &given);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_OPS_GPTQCASE_H
