// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Packed forms of bitorch-engine: GPTQ words, zero points, GBA statistics, EXL2 group maps.
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/GptqCase.h"

using namespace bq;
using namespace bq::golden;

namespace {

Results unpackPack(const Case &given) {
  const GptqWeight weight = gptqWeight(given);
  Results results;
  results.tensors["W"] = unpackGptq(weight);
  if (at::Tensor matrix = given.optionalInput("W_new"); matrix.defined())
    results.tensors["packed_W_new"] = packGptq(matrix, weight, /*upstreamCompatible=*/true);
  return results;
}

Results zerosPacking(const Case &given) {
  at::Tensor packed = packGptqZeros(given.input("zeros"), given.integer("w_bit"), ZeroConvention::StoredMinusOne,
                                    /*upstreamCompatible=*/true);
  return {{{"packed", packed}}};
}

Results groupMap(const Case &given) {
  return {{{"group_map", makeGroupMap(given.input("q_groups"), given.integer("num_qrows"))}}};
}

Results prepareParams(const Case &given) {
  auto [scales, zeros] = decodeGba(gbaStatistics(given));
  return {{{"scales", scales}, {"zeros", zeros}}};
}

} // namespace

void golden::addGptqOps(OpTable &table) {
  auto &ops = table["bitorch-engine"];
  ops["gptq_unpack_pack"] = {unpackPack, {}};
  ops["gptq_zeros_packing"] = {zerosPacking, {}};
  ops["make_group_map"] = {groupMap, {}};
  ops["gba_prepare_params"] = {prepareParams, {}};
}
