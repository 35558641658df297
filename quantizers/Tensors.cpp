// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Tensors.h"

#include "dialect/core/MixedIndex.h"
#include "runtime/MixedStream.h"

#include <ATen/Parallel.h>

#include <algorithm>

using namespace bq;

void bq::raise(const char *op, const Error &error) { TORCH_CHECK(false, op, ": ", error.message); }

Backend &bq::backend(const char *op) { return *take(op, cpuBackend()); }

void bq::parallelFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  at::parallel_for(begin, end, grain, body);
}

at::ScalarType bq::scalarType(ElementType type) {
  switch (type) {
  case ElementType::F16:
    return at::kHalf;
  case ElementType::BF16:
    return at::kBFloat16;
  case ElementType::F32:
    break;
  }
  return at::kFloat;
}

ElementType bq::elementType(const char *op, const char *what, at::ScalarType type) {
  switch (type) {
  case at::kFloat:
    return ElementType::F32;
  case at::kHalf:
    return ElementType::F16;
  case at::kBFloat16:
    return ElementType::BF16;
  default:
    TORCH_CHECK(false, op, ": '", what, "' is ", type, ": use Float, Half or BFloat16");
  }
}

std::string bq::shapeText(at::IntArrayRef sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i)
    text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}

void bq::checkDevice(const char *op, const char *what, const at::Tensor &tensor, at::Device device) {
  TORCH_CHECK(tensor.device() == device, op, ": expected '", what, "' on ", device, " as the other tensors, got ",
              tensor.device());
}

std::vector<at::Tensor> WeightTensors::all() const {
  std::vector<at::Tensor> tensors{codes, scales};
  for (const std::optional<at::Tensor> &tensor : {zeros, groupIndex})
    if (tensor && tensor->defined())
      tensors.push_back(*tensor);
  return tensors;
}

WeightTensors WeightTensors::to(at::Device device) const {
  auto moved = [&](const std::optional<at::Tensor> &tensor) {
    return tensor && tensor->defined() ? tensor->to(device) : tensor;
  };
  return {codes.to(device), scales.to(device), moved(zeros), moved(groupIndex), isHeld};
}

namespace {

/// Sizes as numbers; where they are symbolic, the graph that is traced is specialized to them.
at::DimVector constantSizes(const at::Tensor &tensor) {
  at::DimVector sizes;
  for (const c10::SymInt &size : tensor.sym_sizes())
    sizes.push_back(size.guard_int(__FILE__, __LINE__));
  return sizes;
}

bool isZeroPointType(at::ScalarType type) {
  return type == at::kByte || type == at::kChar || type == at::kShort || type == at::kInt || type == at::kFloat ||
         type == at::kHalf || type == at::kBFloat16;
}

/// The number of weights that mixed codes begin with.
int64_t mixedWeights(const char *op, const at::Tensor &codes) {
  TORCH_CHECK(!codes.is_meta() && codes.has_storage(), op,
              ": codes of a mixed weight say in their data how many rows there are, which 'codes' on ", codes.device(),
              " have not: use a PackedWeight, or in bq::linear a bias");
  const at::Tensor header = codes.slice(0, 0, MixedStream::headerBytes).cpu().contiguous();
  return static_cast<int64_t>(MixedStream::weightsOf(header.const_data_ptr<uint8_t>()));
}

} // namespace

void bq::checkMixedTensors(const char *op, const WeightTensors &weight, const Format &format) {
  TORCH_CHECK(weight.codes.scalar_type() == at::kByte, op, ": expected 'codes' of type Byte, got ",
              weight.codes.scalar_type());
  const at::DimVector codes = constantSizes(weight.codes), scales = constantSizes(weight.scales);
  TORCH_CHECK(codes.size() == 1 && codes[0] >= MixedStream::headerBytes, op, ": expected 'codes' of one dimension, ",
              MixedStream::headerBytes, " bytes or more, for ", format.str(), ", got ", shapeText(codes));
  TORCH_CHECK(weight.scales.scalar_type() == at::kFloat && scales.size() == 1 && scales[0] == 2, op,
              ": expected 'scales' of type Float [2], the least and the greatest weight, for ", format.str(), ", got ",
              weight.scales.scalar_type(), " ", shapeText(scales));
  checkDevice(op, "scales", weight.scales, weight.codes.device());
  for (const auto &[name, tensor] : {std::pair{"zeros", &weight.zeros}, {"g_idx", &weight.groupIndex}})
    TORCH_CHECK(!*tensor || !(*tensor)->defined() || (*tensor)->sym_numel() == 0, op, ": ", format.str(), " has no '",
                name, "', got ", shapeText(constantSizes(**tensor)));
}

int64_t bq::checkWeight(const char *op, const WeightTensors &weight, const Format &format, int64_t k) {
  if (format.isMixed()) {
    checkMixedTensors(op, weight, format);
    const int64_t weights = mixedWeights(op, weight.codes);
    TORCH_CHECK(k > 0 ? weights % k == 0 : weights == 0, op, ": 'codes' hold ", weights,
                " weights, which are no rows of ", k);
    return k > 0 ? weights / k : 0;
  }
  TORCH_CHECK(weight.codes.scalar_type() == at::kByte, op, ": expected 'codes' of type Byte, got ",
              weight.codes.scalar_type());
  at::DimVector codes = constantSizes(weight.codes);
  TORCH_CHECK(codes.size() == 2 && codes[1] == format.rowBytes(k), op, ": expected 'codes' [N, ", format.rowBytes(k),
              "] for ", format.str(), " with K = ", k, ", got ", shapeText(codes));
  int64_t n = codes[0];
  auto checkShape = [&](const char *what, const at::Tensor &tensor, at::IntArrayRef expected) {
    at::DimVector sizes = constantSizes(tensor);
    TORCH_CHECK(at::IntArrayRef(sizes) == expected, op, ": expected '", what, "' ", shapeText(expected),
                " for a weight [", n, ", ", k, "] in ", format.str(), ", got ", shapeText(sizes));
    checkDevice(op, what, tensor, weight.codes.device());
  };

  elementType(op, "scales", weight.scales.scalar_type());
  if (format.hasColumnScale())
    checkShape("scales", weight.scales, {n + k});
  else
    checkShape("scales", weight.scales, {n, format.groupCount(k)});

  bool hasZeros = weight.zeros && weight.zeros->defined();
  if (format.hasZeroPoints() || format.kind == Format::Kind::Lut) {
    bool isTable = format.kind == Format::Kind::Lut;
    TORCH_CHECK(hasZeros, op, ": ", format.str(), " needs 'zeros', which hold its ", isTable ? "table" : "zero points");
    at::ScalarType type = weight.zeros->scalar_type();
    if (isTable) {
      elementType(op, "zeros", type);
      checkShape("zeros", *weight.zeros, {int64_t(1) << format.bits});
    } else {
      TORCH_CHECK(isZeroPointType(type), op, ": 'zeros' is ", type,
                  ": use Byte, Char, Short, Int, Float, Half or BFloat16");
      checkShape("zeros", *weight.zeros, {n, format.groupCount(k)});
    }
  } else {
    TORCH_CHECK(!hasZeros || weight.zeros->sym_numel() == 0, op, ": ", format.str(),
                " has no zero points, got 'zeros' ", shapeText(constantSizes(*weight.zeros)));
  }

  if (weight.groupIndex && weight.groupIndex->defined()) {
    TORCH_CHECK(weight.groupIndex->scalar_type() == at::kInt, op, ": expected 'g_idx' of type Int, got ",
                weight.groupIndex->scalar_type());
    checkShape("g_idx", *weight.groupIndex, {k});
  }
  return n;
}

/// Whether the storage goes on behind a contiguous tensor.
static bool hasSlack(const at::Tensor &codes) {
  const auto end = static_cast<int64_t>(codes.storage_offset() + codes.numel());
  return codes.is_contiguous() && static_cast<int64_t>(codes.storage().nbytes()) - end >= abi::MixedIndex::slack;
}

at::Tensor bq::withSlack(const at::Tensor &codes) {
  if (hasSlack(codes))
    return codes;
  const int64_t bytes = codes.numel();
  const at::Tensor padded = at::zeros({bytes + abi::MixedIndex::slack}, codes.options());
  padded.slice(0, 0, bytes).copy_(codes);
  return padded.slice(0, 0, bytes);
}

BorrowedWeight bq::borrow(const WeightTensors &weight, const Format &format, int64_t k) {
  BorrowedWeight borrowed;
  auto hold = [&](const at::Tensor &tensor) {
    borrowed.keep.push_back(tensor.contiguous());
    return borrowed.keep.back().data_ptr();
  };
  CanonicalWeight &view = borrowed.view;
  view.format = format;
  view.n = format.isMixed() ? mixedWeights("bq", weight.codes) / std::max<int64_t>(k, 1) : weight.codes.size(0);
  view.k = k;
  view.codes = static_cast<const uint8_t *>(hold(weight.codes));
  if (format.isMixed()) {
    const at::Tensor &codes = borrowed.keep.back();
    view.mixed.codeBytes = codes.numel();
    view.mixed.streamRows = view.n;
    if (weight.isHeld && hasSlack(codes))
      view.mixed.owner = std::make_shared<at::Tensor>(codes);
  }
  view.scales = hold(weight.scales);
  view.scaleType = elementType("bq", "scales", weight.scales.scalar_type());
  if (format.kind == Format::Kind::Lut) {
    view.table = static_cast<const float *>(hold(weight.zeros->to(at::kFloat)));
  } else if (format.hasZeroPoints()) {
    bool isByte = weight.zeros->scalar_type() == at::kByte;
    view.zeroType = isByte ? ZeroPointType::U8 : ZeroPointType::F32;
    view.zeros = hold(isByte ? *weight.zeros : weight.zeros->to(at::kFloat));
  }
  if (weight.groupIndex && weight.groupIndex->defined())
    view.groupIndex = static_cast<const int32_t *>(hold(*weight.groupIndex));
  return borrowed;
}
