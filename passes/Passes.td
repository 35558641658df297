// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The passes of bq.
#ifndef BQ_PASSES_PASSES_TD
#define BQ_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

class CpuOption : Option<"cpu", "cpu", "std::string", "\"host\"",
                         "CPU to make kernels for: `host`, or a name such as `znver4` or `haswell`">;

def FuseEpilogue : Pass<"bq-fuse-epilogue"> {
  let summary = "Fold bias and activation into the layer before them";
  let description = [{
    `bq.add_bias` and `bq.activate` whose only source is a `bq.linear` or a `bq.conv2d` without use elsewhere become its
    `bias` and `activation`. A bias is not folded after an activation, nor a second of either. Linear in the number of
    ops.

    ```
    %0 = bq.linear %x, %w {compute = #bq.compute<i8>} : ...
    %1 = bq.add_bias %0, %b : ...
    %2 = bq.activate %1 {activation = #bq.activation<gelu>} : ...
    // becomes
    %2 = bq.linear %x, %w bias(%b : ...) {activation = #bq.activation<gelu>, compute = #bq.compute<i8>} : ...
    ```
  }];
}

def SelectSchedule : Pass<"bq-select-schedule"> {
  let summary = "Choose how each layer is computed";
  let description = [{
    Asks an ordered list of candidates and attaches the `#bq.schedule` of the first that accepts. Every refusal has a
    reason, shown with `remarks` and by `bqc explain`. An op that has a schedule already keeps it.

    - `stream`: for 1 to 8 rows of activations, known when compiling.
    - `panel`: for any number of rows. Weights of the format `mixed` become bytes first, and have it for few rows too
      where they are short.
    - `groups`: weights of the format `mixed`, group after group, with AVX2.
    - `rows`: for ops that work row by row over a canonical weight.
    - `reference`: row after row, for whatever the others refuse.

    With `arch`, for a GPU:

    - `fragment`: tensor instructions in bf16, for 1 to 16 rows known when compiling, which are read as they are.
    - `pipeline`: tensor instructions in bf16 and i8, for any number of rows, converted beforehand and copied while the
      rows before are multiplied.
    - `simt`: multiply-adds in f32.
    - `stream`: multiply-adds with weights of the format `mixed`, for up to eight rows of activations.
    - `panel`: the same weights decoded to shared memory, for more rows and for patches: tensor instructions, or
      multiply-adds in f32.
    - `rows`: as above.

    ```
    %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x4096xf32>, ...
    // becomes
    %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, ...>} : ...
    ```
  }];
  let options = [
    CpuOption<>,
    Option<"arch", "arch", "std::string", "\"\"", "GPU to make kernels for instead, such as `sm_90a`">,
    Option<"schedule", "schedule", "std::string", "\"\"", "Algorithm to force; an error where it refuses">,
    Option<"remarks", "remarks", "bool", "false", "Report every candidate and its reason as a remark">
  ];
}

def LowerLinear : Pass<"bq-lower-linear", "::mlir::ModuleOp"> {
  let summary = "Lower bq.linear and bq.conv2d to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.linear` or `bq.conv2d` becomes two, on raw buffers, with the signatures of
    `dialect/core/KernelAbi.h`: `<name>_prepare`, which converts rows of activations to the form that `compute` wants, and
    `<name>`, which does blocks of rows of the weight as the schedule says. The vector length is the schedule's. The rows
    of a convolution are patches, gathered from the images as they are converted.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerDequantize : Pass<"bq-lower-dequantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.dequantize and bq.embedding to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.dequantize` or `bq.embedding` becomes a function on raw buffers with the
    signature of `dialect/core/KernelAbi.h`. Sixteen codes of the canonical bit stream are taken apart at a time by a shuffle
    and a shift for each lane.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def LowerQuantize : Pass<"bq-lower-quantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.quantize to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.quantize` becomes a function on raw buffers with the signature of
    `dialect/core/KernelAbi.h`: for each group one pass for its range, one for its codes, which are packed as they are made.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerFakeQuantize : Pass<"bq-lower-fake-quantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.fake_quantize and bq.fake_quantize_grad to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.fake_quantize` or `bq.fake_quantize_grad` becomes a function on raw buffers with
    the signature of `dialect/core/KernelAbi.h`. A task is a chunk of a row. The gradient of a scale is summed chunk by chunk, so
    that it does not depend on how the chunks are dealt out to threads.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def LowerUpdate : Pass<"bq-lower-update", "::mlir::ModuleOp"> {
  let summary = "Lower bq.update to a loop over rows";
  let description = [{
    A function that is one scheduled `bq.update` becomes the kernel of `dialect/core/KernelAbi.h`: row by row, and in it
    tile by tile, directions from gradient and moments, then new values, scales and codes from them, by way of a scratch
    of the length of a tile.
    A float weight takes no scratch: its elements are loaded and stored once, and so is everything else in memory. Where
    the scale spans the tensor the kernel is two functions, of which `<name>_prepare` steps the moments and gives the
    scale that each row wants.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def LowerDiffqNoise : Pass<"bq-lower-diffq-noise", "::mlir::ModuleOp"> {
  let summary = "Lower bq.diffq_noise and its gradient to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.diffq_noise` or `bq.diffq_noise_grad` becomes a function on raw buffers with the
    signature of `dialect/core/NoiseAbi.h`. A task is a chunk of elements: the steps of its groups are computed once, then
    its random words, and of these noise 32 elements at a time, which is used at once. The gradient keeps its products
    with the noise for a chunk, and sums them group by group while they are in the cache.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def LowerWeightRange : Pass<"bq-lower-weight-range", "::mlir::ModuleOp"> {
  let summary = "Lower bq.weight_range to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.weight_range` becomes a function on raw buffers with the signature of
    `dialect/core/NoiseAbi.h`, which reads every element once.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerMagnitudeSums : Pass<"bq-lower-magnitude-sums", "::mlir::ModuleOp"> {
  let summary = "Lower bq.magnitude_sums to loops, buffers and vectors";
  let description = [{
    A function that is one scheduled `bq.magnitude_sums` becomes a function on raw buffers with the signature of
    `dialect/core/KernelAbi.h`. A task is a chunk of rows with sums of columns of its own. Four rows at a time are summed
    and, while they are in the cache, added to those.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::bq::BQDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerTile : Pass<"bq-lower-tile"> {
  let summary = "Lower the tile level's ops to what the CPU has";
  let description = [{
    `bq.dot` and `bq.lookup` become the instruction that does them, such as `vpdpbusd` or `vpermb`, where the CPU has one,
    else a sequence with the same result. Fused multiply-adds, rounding and 16-bit floats become plain arithmetic on a CPU
    without them, since a kernel cannot call a library.
  }];
  let options = [CpuOption<>];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect"];
}

def ConvertToLLVM : Pass<"bq-convert-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert tile level functions to the LLVM dialect";
  let description = [{
    One conversion of loops, buffers, vectors and arithmetic. Buffers are passed as bare pointers, so that a function has
    the C signature of `dialect/core/KernelAbi.h`. Fails on every op of another dialect that is left.
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect", "::mlir::LLVM::LLVMDialect"];
}

def GpuLowerLinear : Pass<"bq-gpu-lower-linear", "::mlir::ModuleOp"> {
  let summary = "Lower bq.linear, its gradient and bq.conv2d to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.linear`, `bq.linear_input_gradient` or `bq.conv2d` becomes the kernel of
    `dialect/core/CudaAbi.h`, and before it, where the schedule is `pipeline`, `<name>_prepare`, which converts the rows
    of activations. The weight is in the order of `dialect/core/FragmentLayout.h`. Of the format `mixed` it is that of `dialect/core/CudaMixedAbi.h`,
    whose codes are as they are saved; activations are prepared in i8, and in bf16 where the schedule is `panel`. Rows of `bq.conv2d` are patches, gathered by whoever reads x.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def GpuLowerDequantize : Pass<"bq-gpu-lower-dequantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.dequantize and bq.embedding to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.dequantize` or `bq.embedding` becomes the kernel of `dialect/core/CudaAbi.h`. A
    thread does eight columns, whose codes are whole bytes of the canonical bit stream at every width. Short rows share
    a block of threads, long ones have several. Of `mixed` it becomes that of `dialect/core/CudaMixedAbi.h`: the
    threads of a block have elements beside each other, and find the code of each by the place of its group.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
}

def GpuLowerQuantize : Pass<"bq-gpu-lower-quantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.quantize to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.quantize` becomes the kernel of `dialect/core/CudaAbi.h`. A block of threads does
    whole groups: first the range, scale and zero point of each, by a warp for groups of up to 1024 columns, else by all
    its threads; then the codes, eight by each thread, which are whole bytes. Every byte is written once, and the bits
    that pad a row are zero. Of `mixed` it becomes the kernel of `dialect/core/CudaMixedAbi.h`, which gets the range and
    the bits of the groups, and writes levels alone.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def GpuLowerPrepack : Pass<"bq-gpu-lower-prepack", "::mlir::ModuleOp"> {
  let summary = "Lower bq.prepack to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.prepack` becomes the kernel of `dialect/core/CudaAbi.h`. A thread gathers what
    one lane reads of 16 rows and 32 columns (64 where there is a plane of one bit): eight columns in a row of two rows,
    or of four. It writes whole words, so that every byte of the result is written once, padding included, and a warp
    writes where no other does. The first threads of a segment copy its scales and zero points.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
}

def GpuLowerFakeQuantize : Pass<"bq-gpu-lower-fake-quantize", "::mlir::ModuleOp"> {
  let summary = "Lower bq.fake_quantize and bq.fake_quantize_grad to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.fake_quantize` or `bq.fake_quantize_grad` becomes the kernel of
    `dialect/core/CudaAbi.h`. A block of threads does a chunk of a row, whose part of the gradient of the scale it sums in a
    fixed order.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def GpuLowerUpdate : Pass<"bq-gpu-lower-update", "::mlir::ModuleOp"> {
  let summary = "Lower bq.update to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.update` becomes the kernels of `dialect/core/CudaUpdateAbi.h`: one that looks for
    a gradient that is not finite, and one that takes the step, unless such a gradient was found. Where the scale is that
    of the tensor two more come in between.

    A block of threads does a row, or whole groups of a row, in rounds of eight columns a thread, each read once and
    written once. Random numbers go from the thread that makes them to their columns by way of shared memory; so do
    blocks of moments of 8 bits within a warp by shuffles, and new values that wait for their group's new scale.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def GpuLowerDiffqNoise : Pass<"bq-gpu-lower-diffq-noise", "::mlir::ModuleOp"> {
  let summary = "Lower bq.diffq_noise and bq.diffq_noise_grad to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.diffq_noise` or `bq.diffq_noise_grad` becomes the kernel of
    `dialect/core/CudaNoiseAbi.h`. A block of threads does a chunk: a thread takes whole counters of Philox, whose four
    elements are sixteen apart, so that neighbours read what is next to each other. The steps of the chunk's groups wait in
    shared memory, and in the gradient the products with the noise do too, until each group is summed by one thread, or by a
    warp where it is longer.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def GpuLowerWeightRange : Pass<"bq-gpu-lower-weight-range", "::mlir::ModuleOp"> {
  let summary = "Lower bq.weight_range to what one thread of a GPU does";
  let description = [{
    A function that is one scheduled `bq.weight_range` becomes the kernel of `dialect/core/CudaNoiseAbi.h`. A block of
    threads does a chunk, eight elements a thread.
  }];
  let dependentDialects = ["::bq::gpu::BQGPUDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def ConvertToEmitC : Pass<"bq-convert-to-emitc", "::mlir::ModuleOp"> {
  let summary = "Convert kernels for GPUs to the EmitC dialect";
  let description = [{
    Functions of one thread, in `arith`, `math`, `scf` and `bqgpu`, become functions that print as CUDA C++. An op becomes
    one statement: a plain operator where C++ has the same meaning, else a call of the prelude.

    - A function has the attribute `bqgpu.threads`, its number of threads a block, and no results. This attribute and the
      others of the dialect are kept.
    - The function's `bqgpu.shared` are laid out one after the other, 16-byte aligned; `bqgpu.shared_bytes` is the sum.
    - Loops stay loops: the C++ compiler is told not to unroll them.
    - Where ops have the location of a line, `#line` says so to the C++ compiler, for the file `kernel.mlir`.

    Fails on every op and every type that is not listed, such as `index`, `f16` and buffers.
  }];
  let dependentDialects = ["::mlir::emitc::EmitCDialect"];
}

#endif // BQ_PASSES_PASSES_TD
