// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PackedWeightClass.h"

#include "quantizers/Dispatch.h"
#include "quantizers/Linear.h"
#include "quantizers/Prepare.h"
#include "quantizers/StaticActivations.h"

#include <torch/custom_class.h>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using dispatch::PackedPtr;

static constexpr const char *className = "torch.classes.bq.PackedWeight";

void bq::registerPackedWeightClass() {
  static const auto once =
      torch::class_<PackedWeight>("bq", "PackedWeight")
          .def(torch::init([](Tensor codes, Tensor scales, OptionalTensor zeros, std::string format,
                              std::vector<int64_t> shape, OptionalTensor groupIndex) {
                 return c10::make_intrusive<PackedWeight>(std::move(codes), std::move(scales), std::move(zeros),
                                                          take(className, Format::parse(format)), std::move(shape),
                                                          std::move(groupIndex));
               }),
               "",
               {torch::arg("codes"), torch::arg("scales"), torch::arg("zeros"), torch::arg("format"),
                torch::arg("shape"), torch::arg("g_idx") = c10::IValue()})
          .def("linear",
               [](const PackedPtr &self, const Tensor &x, const OptionalTensor &bias, std::string compute,
                  std::string activation) {
                 LinearChoice choice = LinearChoice::parse("bq::linear_packed", compute, activation);
                 return self->linear(x, bias, choice.compute, choice.activation);
               },
               "",
               {torch::arg("x"), torch::arg("bias") = c10::IValue(), torch::arg("compute") = "f32",
                torch::arg("activation") = "none"})
          .def("conv2d",
               [](const PackedPtr &self, const Tensor &x, const OptionalTensor &bias, std::vector<int64_t> stride,
                  std::vector<int64_t> padding, std::vector<int64_t> dilation, int64_t groups, std::string compute,
                  std::string activation) {
                 LinearChoice choice = LinearChoice::parse(className, compute, activation);
                 return self->conv2d(x, bias, stride, padding, dilation, groups, choice.compute, choice.activation);
               },
               "",
               {torch::arg("x"), torch::arg("bias") = c10::IValue(), torch::arg("stride") = std::vector<int64_t>{1, 1},
                torch::arg("padding") = std::vector<int64_t>{0, 0}, torch::arg("dilation") = std::vector<int64_t>{1, 1},
                torch::arg("groups") = 1, torch::arg("compute") = "f32", torch::arg("activation") = "none"})
          .def("linear_static",
               [](const PackedPtr &self, const Tensor &x, const Tensor &scale, int64_t bits,
                  const OptionalTensor &bias) { return linear(*self, x, bias, {scale, bits}); },
               "",
               {torch::arg("x"), torch::arg("activation_scale"), torch::arg("activation_bits") = 8,
                torch::arg("bias") = c10::IValue()})
          .def("conv2d_static",
               [](const PackedPtr &self, const Tensor &x, const Tensor &scale, int64_t bits, const OptionalTensor &bias,
                  std::vector<int64_t> stride, std::vector<int64_t> padding, std::vector<int64_t> dilation,
                  int64_t groups, int64_t padCode) {
                 return conv2d(*self, x, bias, {stride, padding, dilation, groups}, {scale, bits, padCode});
               },
               "",
               {torch::arg("x"), torch::arg("activation_scale"), torch::arg("activation_bits") = 8,
                torch::arg("bias") = c10::IValue(), torch::arg("stride") = std::vector<int64_t>{1, 1},
                torch::arg("padding") = std::vector<int64_t>{0, 0}, torch::arg("dilation") = std::vector<int64_t>{1, 1},
                torch::arg("groups") = 1, torch::arg("pad_code") = 0})
          .def("embedding", [](const PackedPtr &self, const Tensor &indices) { return self->embedding(indices); })
          .def("dequantize", [](const PackedPtr &self) { return self->dequantize(); })
          .def("prepare",
               [](const PackedPtr &self, std::vector<int64_t> rows, std::string compute, std::string activation,
                  bool bias, at::ScalarType dtype, std::optional<at::Device> device, bool inputGradient) {
                 LinearChoice choice = LinearChoice::parse(className, compute, activation);
                 prepare(*self, rows, {choice.compute, choice.activation, bias, dtype, device, inputGradient});
               },
               "",
               {torch::arg("rows"), torch::arg("compute") = "f32", torch::arg("activation") = "none",
                torch::arg("bias") = false, torch::arg("dtype") = c10::IValue(at::kFloat),
                torch::arg("device") = c10::IValue(), torch::arg("input_gradient") = false})
          .def("codes", [](const PackedPtr &self) { return self->codes(); })
          .def("scales", [](const PackedPtr &self) { return self->scales(); })
          .def("zeros", [](const PackedPtr &self) { return self->zeros(); })
          .def("g_idx", [](const PackedPtr &self) { return self->groupIndex(); })
          .def("format", [](const PackedPtr &self) { return self->format().str(); })
          .def("shape", [](const PackedPtr &self) { return self->shape(); })
          .def("bytes", [](const PackedPtr &self) { return self->bytes(); })
          .def("resident_bytes", [](const PackedPtr &self) { return self->residentBytes(); })
          .def_pickle([](const PackedPtr &self) { return self->state(); },
                      [](PackedWeight::State state) { return PackedWeight::fromState(std::move(state)); });
  static_cast<void>(once);
}
