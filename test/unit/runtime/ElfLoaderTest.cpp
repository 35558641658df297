// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ElfLoader.h"
#include "Support.h"
#include "dialect/core/KernelAbi.h"

#include <cstring>
#include <elf.h>
#include <fstream>
#include <gtest/gtest.h>

using namespace bq;
using namespace bq::test;

namespace {

/// The test object, to be changed field by field.
struct Object {
  std::vector<uint8_t> bytes = testObject();

  Elf64_Ehdr &header() { return *reinterpret_cast<Elf64_Ehdr *>(bytes.data()); }
  Elf64_Shdr *sections() { return reinterpret_cast<Elf64_Shdr *>(bytes.data() + header().e_shoff); }
  Elf64_Shdr &section(uint32_t type, uint64_t flags = 0) {
    for (int i = 1; i < header().e_shnum; ++i)
      if (sections()[i].sh_type == type && (sections()[i].sh_flags & flags) == flags && sections()[i].sh_size)
        return sections()[i];
    std::abort();
  }
  template <typename T>
  T *table(const Elf64_Shdr &section) {
    return reinterpret_cast<T *>(bytes.data() + section.sh_offset);
  }
  Elf64_Rela &relocation() { return *table<Elf64_Rela>(section(SHT_RELA)); }
  Elf64_Sym &function() {
    Elf64_Shdr &symbols = section(SHT_SYMTAB);
    for (size_t i = 1; i < symbols.sh_size / sizeof(Elf64_Sym); ++i)
      if (ELF64_ST_TYPE(table<Elf64_Sym>(symbols)[i].st_info) == STT_FUNC)
        return table<Elf64_Sym>(symbols)[i];
    std::abort();
  }

  /// Why it is refused; empty where it is not.
  std::string refusal() const {
    Expected<LoadedObject> loaded = LoadedObject::load(bytes.data(), bytes.size());
    return loaded ? "" : loaded.error().message;
  }
};

#define EXPECT_REFUSED(object, text) EXPECT_NE((object).refusal().find(text), std::string::npos) << (object).refusal()

/// Access of the mapping that holds `address`, such as "r-xp".
std::string accessOf(const void *address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end;
    char access[5];
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) == 3 &&
        reinterpret_cast<unsigned long>(address) - begin < end - begin)
      return access;
  }
  return "";
}

} // namespace

TEST(ElfLoader, LoadedCodeRunsWithItsConstants) {
  Expected<LoadedObject> loaded = LoadedObject::load(testObject().data(), testObject().size());
  ASSERT_TRUE(loaded) << loaded.error().message;
  auto linear = reinterpret_cast<bq::abi::LinearFn>(loaded->function("test_linear"));
  ASSERT_NE(linear, nullptr);
  float x[6] = {1, 1, 1, 1, 1, 1}, sums[1] = {1}, scales[1] = {2}, y[37];
  char scratch[128];
  linear(nullptr, nullptr, nullptr, nullptr, nullptr, x, sums, scales, y, scratch, 37, 1, 1, 0, 5);
  EXPECT_EQ(y[0], 21);
  EXPECT_EQ(y[36], 36021);
  EXPECT_EQ(loaded->function("test_absent"), nullptr);
}

TEST(ElfLoader, CodeIsExecutableAndNeverWritable) {
  Expected<LoadedObject> loaded = LoadedObject::load(testObject().data(), testObject().size());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(accessOf(loaded->function("test_linear")), "r-xp");
}

TEST(ElfLoader, OwnershipMoves) {
  Expected<LoadedObject> loaded = LoadedObject::load(testObject().data(), testObject().size());
  ASSERT_TRUE(loaded);
  void *address = loaded->function("test_linear");
  {
    LoadedObject moved(std::move(*loaded));
    EXPECT_EQ(moved.function("test_linear"), address);
    EXPECT_EQ(accessOf(address), "r-xp");
  }
  EXPECT_NE(accessOf(address), "r-xp");
}

TEST(ElfLoader, RefusesOtherKindsOfFile) {
  Object text;
  text.bytes.assign(200, 'x');
  EXPECT_REFUSED(text, "not an ELF file");
  Object program;
  program.header().e_type = ET_DYN;
  EXPECT_REFUSED(program, "not a relocatable x86-64 object");
  Object machine;
  machine.header().e_machine = EM_AARCH64;
  EXPECT_REFUSED(machine, "not a relocatable x86-64 object");
  Object narrow;
  narrow.header().e_ident[EI_CLASS] = ELFCLASS32;
  EXPECT_REFUSED(narrow, "not a relocatable x86-64 object");
  Object noSections;
  noSections.header().e_shnum = 0;
  EXPECT_REFUSED(noSections, "section headers");
}

TEST(ElfLoader, RefusesSectionsThatKernelsDoNotHave) {
  Object writable;
  writable.section(SHT_PROGBITS, SHF_EXECINSTR).sh_flags |= SHF_WRITE;
  EXPECT_REFUSED(writable, "writable data");
  Object local;
  local.section(SHT_PROGBITS, SHF_ALLOC).sh_flags |= SHF_TLS;
  EXPECT_REFUSED(local, "neither plain code nor plain constants");
  Object aligned;
  aligned.section(SHT_PROGBITS, SHF_ALLOC).sh_addralign = 48;
  EXPECT_REFUSED(aligned, "alignment 48");
  Object outside;
  outside.section(SHT_PROGBITS, SHF_ALLOC).sh_size = outside.bytes.size();
  EXPECT_REFUSED(outside, "outside the file");
  Object noCode;
  noCode.section(SHT_PROGBITS, SHF_EXECINSTR).sh_flags &= ~SHF_ALLOC;
  EXPECT_REFUSED(noCode, "no code");
  Object noAddends;
  noAddends.section(SHT_RELA).sh_type = SHT_REL;
  EXPECT_REFUSED(noAddends, "without addends");
}

TEST(ElfLoader, RefusesSymbolsThatAreNotInTheObject) {
  Object undefined;
  undefined.function().st_shndx = SHN_UNDEF;
  EXPECT_REFUSED(undefined, "needs the symbol 'test_");
  Object common;
  common.function().st_shndx = SHN_COMMON;
  EXPECT_REFUSED(common, "neither a function nor a constant");
  Object indirect;
  indirect.function().st_info = ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC);
  EXPECT_REFUSED(indirect, "neither a function nor a constant");
  Object outside;
  outside.function().st_value = 1 << 20;
  EXPECT_REFUSED(outside, "outside its section");
  Object endless;
  endless.function().st_size = 1 << 20;
  EXPECT_REFUSED(endless, "outside its section");
  Object nameless;
  nameless.function().st_name = 1 << 30;
  EXPECT_REFUSED(nameless, "name of symbol");
}

TEST(ElfLoader, RefusesRelocationsThatItCannotApply) {
  Object type;
  type.relocation().r_info = ELF64_R_INFO(ELF64_R_SYM(type.relocation().r_info), R_X86_64_64);
  EXPECT_REFUSED(type, "relocation type 1 ");
  Object place;
  place.relocation().r_offset = ~uint64_t{0};
  EXPECT_REFUSED(place, "outside its section");
  Object symbol;
  symbol.relocation().r_info = ELF64_R_INFO(0xffff, R_X86_64_PC32);
  EXPECT_REFUSED(symbol, "has no symbol");
  Object far;
  far.relocation().r_addend = int64_t{1} << 40;
  EXPECT_REFUSED(far, "does not fit 32 bits");
}

TEST(ElfLoader, EveryTruncationIsRefused) {
  for (size_t size = 0; size < testObject().size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees every byte read beyond it.
    std::vector<uint8_t> bytes(testObject().begin(), testObject().begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(LoadedObject::load(bytes.data(), bytes.size())) << size;
  }
}

TEST(ElfLoader, NoChangedByteCrashesTheLoader) {
  std::vector<uint8_t> bytes = testObject();
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    for (int value : {0x01, 0x80, 0xff}) {
      bytes[i] ^= value;
      refused += !LoadedObject::load(bytes.data(), bytes.size());
      bytes[i] ^= value;
    }
  EXPECT_GT(refused, 0);
}
