// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Safetensors files: what is written is read back, other writers' files are read, and damage is one clear error.
#include "quantizers/SafeTensors.h"

#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

using namespace bq;
using bq::test::messageOf;
using testing::EndsWith;
using testing::HasSubstr;

namespace {

class SafeTensorsFile : public testing::Test {
protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "safetensors.XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
    path = (folder / "file.safetensors").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  /// A file with this header and these bytes of data.
  void write(const std::string &header, size_t dataBytes) const {
    std::ofstream file(path, std::ios::binary);
    const uint64_t size = header.size();
    file.write(reinterpret_cast<const char *>(&size), sizeof(size));
    file << header << std::string(dataBytes, '\0');
  }
  std::string bytes() const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string messageOfReading() const {
    return messageOf([&] { readSafeTensors(path); });
  }

  std::filesystem::path folder;
  std::string path;
};

std::string entry(const std::string &name, const std::string &dtype, const std::string &shape,
                  const std::string &offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

} // namespace

TEST_F(SafeTensorsFile, ComesBackAsItWas) {
  SafeTensors contents;
  contents.metadata = {{"format", "uint4:g32"}, {"zero points", "stored minus one"}};
  for (at::ScalarType type :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kLong, at::kInt,
        at::kShort, at::kChar, at::kByte, at::kUInt16, at::kUInt32, at::kUInt64, at::kBool})
    contents.tensors[c10::toString(type)] = at::arange(6).reshape({2, 3}).remainder(2).to(type);
  contents.tensors["scalar"] = at::scalar_tensor(2.5);
  contents.tensors["empty"] = at::zeros({0, 4});
  contents.tensors["strided"] = at::arange(12).reshape({3, 4}).t();
  writeSafeTensors(path, contents);
  SafeTensors back = readSafeTensors(path);
  EXPECT_EQ(back.metadata, contents.metadata);
  ASSERT_EQ(back.tensors.size(), contents.tensors.size());
  for (const auto &[name, tensor] : contents.tensors) {
    const at::Tensor &other = back.tensors.at(name);
    EXPECT_EQ(other.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_EQ(other.sizes(), tensor.sizes()) << name;
    EXPECT_EQ(std::memcmp(other.const_data_ptr(), tensor.contiguous().const_data_ptr(), tensor.nbytes()), 0) << name;
  }
  const std::string once = bytes();
  writeSafeTensors(path, back);
  EXPECT_EQ(bytes(), once);
  // The only file there, and not a private one.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST_F(SafeTensorsFile, DataIsAlignedAndAFileKeepsItsMode) {
  writeSafeTensors(path, {{{"a", at::zeros({3}, at::kByte)}, {"b", at::zeros({2}, at::kDouble)}}, {}});
  const std::string text = bytes();
  EXPECT_EQ(text[0] % 8, 0);
  EXPECT_THAT(text, HasSubstr(R"("b":{"data_offsets":[0,16])"));
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  writeSafeTensors(path, {});
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0640));
  EXPECT_TRUE(readSafeTensors(path).tensors.empty());
}

TEST_F(SafeTensorsFile, ReadsOtherOrdersAndUnalignedData) {
  write("{" + entry("b", "F32", "[1]", "[1,5]") + "," + entry("a", "U8", "[1]", "[0,1]") + ",\"__metadata__\":{}}  ",
        5);
  SafeTensors contents = readSafeTensors(path);
  EXPECT_TRUE(contents.tensors.at("b").equal(at::zeros({1})));
}

TEST_F(SafeTensorsFile, OtherWritersFilesKeepTheirBytes) {
  int64_t count = 0;
  for (const auto &file : std::filesystem::directory_iterator(BQ_TEST_GOLDEN)) {
    if (file.path().extension() != ".safetensors")
      continue;
    SafeTensors contents = readSafeTensors(file.path().string());
    writeSafeTensors(path, contents);
    SafeTensors back = readSafeTensors(path);
    ASSERT_EQ(back.tensors.size(), contents.tensors.size()) << file.path();
    for (const auto &[name, tensor] : contents.tensors) {
      const at::Tensor &other = back.tensors.at(name);
      EXPECT_TRUE(other.scalar_type() == tensor.scalar_type() && other.sizes() == tensor.sizes()) << name;
      EXPECT_EQ(std::memcmp(other.const_data_ptr(), tensor.const_data_ptr(), tensor.nbytes()), 0) << name;
      ++count;
    }
  }
  EXPECT_GT(count, 1000);
}

TEST_F(SafeTensorsFile, DamageIsOneError) {
  const std::string good = entry("a", "F32", "[2]", "[0,8]");
  write("{" + good + "}", 8);
  EXPECT_EQ(messageOfReading(), "accepted");
  const std::tuple<std::string, size_t, std::string> damaged[] = {
      {"{" + good + "}", 7, "tensor 'a': bytes 0 to 8 are outside of the 7 bytes of data"},
      {"{" + good + "}", 9, "bytes 8 to 9 of the data belong to no tensor"},
      {"{" + good + "," + good + "}", 8, "the header names 'a' twice"},
      {"{" + good, 8, "the header is damaged"},
      {"[" + std::string("1") + "]", 8, "the header is no JSON object"},
      {"{" + good + "," + entry("b", "F32", "[1]", "[4,8]") + "}", 8, "tensor 'b' overlaps tensor 'a'"},
      {"{" + good + "," + entry("b", "U8", "[1]", "[9,10]") + "}", 10, "bytes 8 to 9 of the data belong to no tensor"},
      {"{" + entry("a", "F32", "[3]", "[0,8]") + "}", 8, "shape [3] of F32 takes 12 bytes, data_offsets give 8"},
      {"{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8, "bytes 8 to 0 are outside of the 8 bytes"},
      {"{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8, "shape holds -2, which is no size"},
      {"{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", 8, "shape holds 2.0, which is no size"},
      {"{" + entry("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", 8, "is too large"},
      {"{" + entry("a", "F32", "[0,18446744073709551615]", "[0,0]") + "}", 0, "is too large"},
      {"{" + entry("a", "C64", "[1]", "[0,8]") + "}", 8, "unknown dtype \"C64\""},
      {"{\"a\":{\"dtype\":\"F32\"}}", 8, "tensor 'a': expected dtype, shape and data_offsets"},
      {"{\"a\":1}", 8, "tensor 'a': expected dtype, shape and data_offsets"},
      {"{" + good + ",\"__metadata__\":{\"k\":1}}", 8, "__metadata__ 'k' is no string"}};
  for (const auto &[header, dataBytes, text] : damaged) {
    write(header, dataBytes);
    EXPECT_THAT(messageOfReading(), HasSubstr(path + ": ")) << header;
    EXPECT_THAT(messageOfReading(), HasSubstr(text)) << header;
  }
  std::ofstream(path, std::ios::binary) << "short";
  EXPECT_THAT(messageOfReading(), EndsWith(": 5 bytes are too few for a safetensors file"));
  std::ofstream(path, std::ios::binary) << "\xff\xff\xff\xff\xff\xff\xff\xff{}";
  EXPECT_THAT(messageOfReading(), HasSubstr("a header of 18446744073709551615 bytes does not fit a file of 10 bytes"));
  write("{" + entry("a", "BOOL", "[1]", "[0,1]") + "}", 0);
  std::ofstream(path, std::ios::binary | std::ios::app) << '\2';
  EXPECT_THAT(messageOfReading(), HasSubstr("tensor 'a': a BOOL is neither 0 nor 1"));
}

TEST_F(SafeTensorsFile, EveryCutOfAFileIsRefused) {
  writeSafeTensors(path, {{{"a", at::randn({3})}, {"b", at::zeros({2}, at::kByte)}}, {{"k", "v"}}});
  const std::string whole = bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, size);
    EXPECT_NE(messageOfReading(), "accepted") << size;
  }
}

TEST_F(SafeTensorsFile, WhatCannotBeWrittenLeavesTheFileAsItWas) {
  writeSafeTensors(path, {{{"a", at::ones({2})}}, {}});
  const std::string before = bytes();
  auto message = [&](const SafeTensors &contents) { return messageOf([&] { writeSafeTensors(path, contents); }); };
  EXPECT_THAT(message({{{"__metadata__", at::ones({1})}}, {}}), HasSubstr("cannot be named __metadata__"));
  EXPECT_THAT(message({{{"a", at::ones({1}, at::kComplexFloat)}}, {}}),
              HasSubstr("tensor 'a' is ComplexFloat, which safetensors does not have"));
  EXPECT_THAT(message({{{"a", at::Tensor()}}, {}}), HasSubstr("tensor 'a' is not defined"));
  EXPECT_THAT(message({{{"\xff", at::ones({1})}}, {}}), HasSubstr("is not UTF-8"));
  EXPECT_EQ(bytes(), before);
  EXPECT_THAT(messageOf([&] { writeSafeTensors((folder / "none" / "x").string(), {}); }), HasSubstr("cannot write"));
  EXPECT_THAT(messageOf([&] { readSafeTensors((folder / "none").string()); }), HasSubstr("No such file"));
  EXPECT_THAT(messageOf([&] { readSafeTensors(folder.string()); }), HasSubstr("is not a regular file"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}
