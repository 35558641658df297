// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/NvrtcFile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace bq;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

std::string temporary(const char *name) {
  return (std::filesystem::temp_directory_path() / (std::to_string(getpid()) + name)).string();
}

} // namespace

TEST(NvrtcFile, PlacesInTheirOrder) {
  std::vector<std::string> files = NvrtcFile::candidates(
      "/one::/two",
      {"", "/usr/lib/libc.so.6", "/env/lib/python3.11/site-packages/torch/lib/libc10.so",
       "/env/lib/python3.11/site-packages/numpy/core.so", "/usr/lib/python3/dist-packages/torch/lib/libtorch_cpu.so"});
  const std::vector<std::string> first = {
      "/one/libnvrtc.so.13",
      "/one/libnvrtc.so.12",
      "/two/libnvrtc.so.13",
      "/two/libnvrtc.so.12",
      "/env/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
      "/env/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
      "/usr/lib/python3/dist-packages/nvidia/cu13/lib/libnvrtc.so.13",
      "/usr/lib/python3/dist-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
  };
  ASSERT_GE(files.size(), first.size());
  files.resize(first.size());
  EXPECT_EQ(files, first);
}

TEST(NvrtcFile, TheBuildIsThatOfTheLibrary) {
  // A header, one segment of notes, and in it a note of another kind before the build id.
  struct {
    Elf64_Ehdr header{};
    Elf64_Phdr segment{};
    Elf64_Nhdr other{4, 4, NT_GNU_ABI_TAG};
    char otherBody[8] = {'G', 'N', 'U', 0, 1, 2, 3, 4};
    Elf64_Nhdr build{4, 3, NT_GNU_BUILD_ID};
    unsigned char buildBody[8] = {'G', 'N', 'U', 0, 0x01, 0xab, 0xf0, 0};
  } library;
  std::memcpy(library.header.e_ident, ELFMAG, SELFMAG);
  library.header.e_phnum = 1;
  library.header.e_phoff = sizeof(library.header);
  library.segment.p_type = PT_NOTE;
  library.segment.p_offset = sizeof(library.header) + sizeof(library.segment);
  library.segment.p_filesz = sizeof(library) - library.segment.p_offset;
  std::string path = temporary("-build-id");
  std::ofstream(path).write(reinterpret_cast<const char *>(&library), sizeof(library));
  Expected<NvrtcFile> file = NvrtcFile::read(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->build, "01abf0");
  EXPECT_EQ(file->path, path);
}

TEST(NvrtcFile, WithoutABuildIdSizeAndPathCount) {
  std::string path = temporary("-no-build-id");
  std::ofstream(path) << "\177ELF" << std::string(60, '\0');
  Expected<NvrtcFile> file = NvrtcFile::read(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->build, "64 bytes at " + path);
}

TEST(NvrtcFile, WhatCannotBeReadIsRefused) {
  EXPECT_THAT(NvrtcFile::read("/nowhere/libnvrtc.so.13").error().message,
              AllOf(HasSubstr("/nowhere/libnvrtc.so.13"), HasSubstr("No such file")));
  std::string path = temporary("-text");
  std::ofstream(path) << "not a library, however long this line may be: it does not begin as one does, so it is none";
  Expected<NvrtcFile> file = NvrtcFile::read(path);
  std::filesystem::remove(path);
  EXPECT_EQ(file.error().message, path + " is not a shared library");
}

TEST(NvrtcFile, WhereThereIsNoneOneSentenceSaysWhereItWasLookedForAndHowToGetIt) {
  EXPECT_EQ(
      NvrtcFile::first({"/one/libnvrtc.so.13", "/two/libnvrtc.so.12"}, {"libno-such-nvrtc.so"}).error().message,
      "kernels for GPUs need NVRTC, which is neither at /one/libnvrtc.so.13, /two/libnvrtc.so.12, nor known to the "
      "system's loader: install it with `pip install nvidia-cuda-nvrtc` or with the CUDA toolkit, or set BQ_NVRTC "
      "to the path of libnvrtc.so.13");
}

TEST(NvrtcFile, TheFirstThatIsThereIsTaken) {
  EXPECT_EQ(NvrtcFile::first({"/nowhere/libnvrtc.so.13", "/proc/self/exe", "/bin/sh"}, {})->path, "/proc/self/exe");
  // Every program here has the C library.
  EXPECT_NE(NvrtcFile::first({}, {"libc.so.6"})->path.find("/libc.so.6"), std::string::npos);
}

TEST(NvrtcFile, TheEnvironmentGoesFirst) {
  setenv("BQ_NVRTC", "/nowhere/libnvrtc.so.13", 1);
  Expected<NvrtcFile> file = NvrtcFile::find();
  unsetenv("BQ_NVRTC");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("BQ_NVRTC: cannot read /nowhere/libnvrtc.so.13"));
}
