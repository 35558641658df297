// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Gptq.h"

#include "quantizers/nbit/Packing.h"

#include <ATen/core/grad_mode.h>

using namespace bq;

namespace {

/// Whether every column's group is its number divided by the format's group size.
bool isContiguous(const at::Tensor &groupIndex, const Format &format) {
  const int64_t k = groupIndex.size(0);
  at::Tensor column = at::arange(k, groupIndex.options());
  return groupIndex.equal(at::div(column, std::max<int64_t>(1, format.groupSize(k)), "floor"));
}

} // namespace

Format bq::canonicalFormat(const GptqWeight &weight) {
  Format format;
  format.kind = Format::Kind::UInt;
  format.bits = static_cast<int>(weight.bits);
  const int64_t k = weight.inFeatures, groups = weight.scales.size(0);
  if (groups > 1)
    format.group = (k + groups - 1) / groups;
  TORCH_CHECK(format.groupCount(k) == groups, "bq::toCanonical: ", groups, " groups of ", k,
              " inputs: no group size makes as many");
  return format;
}

WeightTensors bq::toCanonical(const GptqWeight &weight) {
  checkGptq(weight);
  at::NoGradGuard noGrad;
  const Format format = canonicalFormat(weight);
  at::Tensor integers = gptqIntegers(weight), groupIndex = gptqGroupIndex(weight);
  if (weight.rowOrder.defined() && weight.rowOrder.any().item<bool>()) {
    GptqWeight rows = weight;
    rows.groupIndex = at::arange(weight.inFeatures, groupIndex.options());
    // The packed row that each row of W comes from.
    at::Tensor source = gptqGroupIndex(rows);
    integers = integers.index_select(0, source);
  }
  WeightTensors canonical;
  canonical.codes = packRows(integers.t(), weight.bits);
  canonical.scales = weight.scales.t().contiguous();
  canonical.zeros.emplace(gptqZeros(weight).t().contiguous());
  if (!isContiguous(groupIndex, format))
    canonical.groupIndex.emplace(groupIndex);
  return canonical;
}

GptqWeight bq::fromCanonical(const WeightTensors &weight, const Format &format, int64_t inFeatures,
                             ZeroConvention convention) {
  constexpr const char *op = "bq::fromCanonical";
  TORCH_CHECK(format.kind == Format::Kind::UInt, op, ": ", format.str(),
              " has no GPTQ form: use uint1 to uint8, with or without a group");
  checkWeight(op, weight, format, inFeatures);
  at::NoGradGuard noGrad;
  GptqWeight packed;
  packed.bits = format.bits;
  packed.inFeatures = inFeatures;
  packed.zeroConvention = convention;
  packed.words = packWords(unpackRows(weight.codes, format.bits, inFeatures).t(), format.bits, 0);
  packed.scales = weight.scales.t().contiguous();
  at::Tensor zeros = weight.zeros->t();
  if (convention == ZeroConvention::Scaled) {
    packed.zeros = (zeros.to(packed.scales.scalar_type()) * packed.scales).contiguous();
  } else {
    at::Tensor exact = zeros.to(at::kDouble);
    at::Tensor isBroken = exact.ne(exact.round());
    if (isBroken.any().item<bool>())
      TORCH_CHECK(false, op, ": zero point ", exact.masked_select(isBroken)[0].item<double>(),
                  " is not a whole number: use the convention Scaled");
    packed.zeros = packGptqZeros(exact, format.bits, convention);
  }
  if (weight.groupIndex && weight.groupIndex->defined()) {
    packed.groupIndex = weight.groupIndex->clone();
  } else {
    at::Tensor column = at::arange(inFeatures, weight.codes.options().dtype(at::kInt));
    packed.groupIndex = at::div(column, std::max<int64_t>(1, format.groupSize(inFeatures)), "floor");
  }
  return packed;
}

at::Tensor bq::makeGroupMap(const at::Tensor &groups, int64_t packedRows) {
  constexpr const char *op = "bq::makeGroupMap";
  TORCH_CHECK(at::isIntegralType(groups.scalar_type(), /*includeBool=*/false) && groups.dim() == 1 &&
                  groups.size(0) % 2 == 0,
              op, ": expected pairs of integers, 1-D, got ", groups.scalar_type(), " ", shapeText(groups.sizes()));
  at::Tensor pairs = groups.to(at::kCPU, at::kLong).contiguous();
  const int64_t *pair = pairs.const_data_ptr<int64_t>();
  const int64_t count = groups.size(0) / 2;
  std::vector<int32_t> map;
  for (int64_t group = 0; group < count; ++group) {
    const int64_t bits = pair[2 * group], first = pair[2 * group + 1];
    const int64_t end = group + 1 < count ? pair[2 * group + 3] : packedRows;
    TORCH_CHECK(bits >= 1 && bits <= 8, op, ": group ", group, " has ", bits, " bits: use 1 to 8");
    TORCH_CHECK(first >= 0 && end >= first, op, ": group ", group, " has packed rows ", first, " to ", end,
                ": rows must ascend up to ", packedRows);
    const int64_t rows = (end - first) * 32 / bits;
    for (int64_t left = rows; left > 0; --left) {
      map.push_back(static_cast<int32_t>(group));
      map.push_back(static_cast<int32_t>(left));
    }
  }
  return at::tensor(map, at::kInt).to(groups.device());
}
