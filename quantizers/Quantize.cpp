// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Quantize.h"

#include "quantizers/cuda/GpuRows.h"

using namespace bq;

std::pair<int64_t, int64_t> bq::matrixShape(const char *op, at::IntArrayRef shape) {
  TORCH_CHECK(shape.size() == 2 || shape.size() == 4, op, ": expected a weight [N, K] or [O, I, kh, kw], got ",
              shapeText(shape));
  for (int64_t size : shape)
    TORCH_CHECK(size >= 0, op, ": sizes cannot be negative, got ", shapeText(shape));
  return {shape[0], c10::multiply_integers(shape.slice(1))};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> bq::quantize(const at::Tensor &weight, const Format &format,
                                                            std::optional<at::ScalarType> scaleType) {
  constexpr const char *op = "bq::quantize";
  ElementType dataType = elementType(op, "weight", weight.scalar_type());
  at::ScalarType storedType = scaleType.value_or(weight.scalar_type());
  auto [n, k] = matrixShape(op, weight.sizes());
  const at::Device device = weight.device();
  TORCH_CHECK(device.is_cpu() || device.is_cuda(), op, ": expected 'weight' on cpu or cuda, got ", device);
  TORCH_CHECK(format.kind != Format::Kind::Lut, op, ": ", format.str(),
              " cannot be quantized to: its table comes from the caller");
  TORCH_CHECK(!format.isMixed(), op, ": ", format.str(),
              " cannot be quantized to: the bits of its groups come from the caller of bq::quantizeMixed");
  TORCH_CHECK(at::isfinite(weight).all().item<bool>(), op, ": 'weight' ", shapeText(weight.sizes()),
              " holds NaN or infinity");

  at::NoGradGuard noGrad;
  at::Tensor matrix = (weight.dim() == 4 ? weight.permute({0, 2, 3, 1}).reshape({n, k}) : weight).detach();
  // Kernels read rows of contiguous columns; a row's stride may be anything that does not make rows overlap.
  if ((k > 1 && matrix.stride(1) != 1) || (n > 1 && matrix.stride(0) < k))
    matrix = matrix.contiguous();

  QuantizeArgs args;
  args.format = format;
  args.n = n;
  args.k = k;
  args.dataType = dataType;
  args.scaleType = elementType(op, "scale_dtype", storedType);
  auto make = [&](at::IntArrayRef shape, at::ScalarType type) {
    return at::empty(shape, at::device(device).dtype(type));
  };
  at::Tensor codes = make({n, format.rowBytes(k)}, at::kByte);
  int64_t groups = format.groupCount(k);
  at::Tensor scales = format.hasColumnScale()
                          ? signScales(matrix.to(at::kCPU, at::kFloat).contiguous()).to(device, storedType)
                          : make({n, groups}, storedType);
  at::Tensor zeros = format.hasZeroPoints() ? make({n, groups}, at::kByte) : make({0}, at::kByte);
  if (n && k) {
    args.weight = matrix.const_data_ptr();
    args.stride = n > 1 ? matrix.stride(0) : k;
    args.codes = codes.mutable_data_ptr<uint8_t>();
    args.scales = format.hasColumnScale() ? nullptr : scales.mutable_data_ptr();
    args.zeros = format.hasZeroPoints() ? zeros.mutable_data_ptr<uint8_t>() : nullptr;
    if (device.is_cuda())
      gpu::quantize(op, gpu::currentPlace(op, device), args);
    else
      check(op, backend(op).quantize(args, parallelFor));
  }
  return {codes, scales, zeros};
}

at::Tensor bq::dequantize(const at::Tensor &codes, const at::Tensor &scales, const std::optional<at::Tensor> &zeros,
                          const Format &format, at::IntArrayRef shape) {
  constexpr const char *op = "bq::dequantize";
  auto [n, k] = matrixShape(op, shape);
  WeightTensors weight{codes, scales, zeros, std::nullopt};
  int64_t rows = checkWeight(op, weight, format, k);
  TORCH_CHECK(rows == n, op, ": 'codes' ", shapeText(codes.sizes()), " hold ", rows, " rows, 'shape' ",
              shapeText(shape), " asks for ", n);
  at::Tensor matrix = at::empty({n, k}, scales.options());
  // In the order of the weight itself.
  if (format.isMixed() && n && k && codes.is_cuda())
    return gpu::dequantize(op, gpu::currentPlace(op, codes.device()), weight, format, k).view(shape);
  if (format.isMixed() && n && k) {
    at::Tensor values = at::empty(shape, scales.options());
    BorrowedWeight borrowed = borrow(weight, format, k);
    check(op, backend(op).dequantize(borrowed.view, values.mutable_data_ptr(), parallelFor));
    return values;
  }
  if (n && k && codes.is_cuda()) {
    matrix = gpu::dequantize(op, gpu::currentPlace(op, codes.device()), weight, format, k);
  } else if (n && k) {
    BorrowedWeight borrowed = borrow(weight, format, k);
    check(op, backend(op).dequantize(borrowed.view, matrix.mutable_data_ptr(), parallelFor));
  }
  if (shape.size() == 2)
    return matrix;
  return matrix.reshape({shape[0], shape[2], shape[3], shape[1]}).permute({0, 3, 1, 2}).contiguous();
}

at::Tensor bq::dequantizeAs(
    const WeightTensors &weight, const Format &format, at::IntArrayRef shape, std::optional<at::ScalarType> type,
    const std::function<at::Tensor(const WeightTensors &weight, const Format &format, at::IntArrayRef shape)> &plain) {
  const bool isGrouped = weight.groupIndex && weight.groupIndex->defined() && !format.hasColumnScale();
  if (!isGrouped && (!type || *type == weight.scales.scalar_type()))
    return plain({weight.codes, weight.scales, weight.zeros, std::nullopt}, format, shape);
  at::Tensor scales32 = weight.scales.to(at::kFloat);
  at::ScalarType resultType = type.value_or(weight.scales.scalar_type());
  if (!isGrouped)
    return plain({weight.codes, scales32, weight.zeros, std::nullopt}, format, shape).to(resultType);

  // Kernels that go row by row take groups in order: get the bare code or table values with one unit scale for a row,
  // then scale each column with its own group.
  Format wholeRow = format;
  wholeRow.group = 0;
  at::Tensor column = scales32.slice(1, 0, 1);
  WeightTensors bare{weight.codes, at::ones_like(column), weight.zeros, std::nullopt};
  if (format.hasZeroPoints())
    bare.zeros.emplace(at::zeros_like(column));
  at::Tensor values = plain(bare, wholeRow, shape);
  if (format.hasZeroPoints())
    values = values - weight.zeros->to(at::kFloat).index_select(1, *weight.groupIndex);
  return (values * scales32.index_select(1, *weight.groupIndex)).to(resultType);
}
