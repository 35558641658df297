// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ElfLoader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <optional>
#include <sys/mman.h>

using namespace bq;

namespace {

constexpr uint64_t pageSize = 4096;
/// Far above any kernel, and small enough that all distances fit a relocation of 32 bits.
constexpr uint64_t maxSize = uint64_t{1} << 28;

/// Reads one object and lays it out. Every function that fails leaves the reason in `why`.
class Loader {
public:
  Loader(const uint8_t *object, uint64_t size) : object(object), size(size) {}

  bool readHeader();
  bool placeSections();
  bool readSymbols();
  /// Copies sections to `memory` and relocates them there.
  bool fill(uint8_t *memory);

  std::string why;
  uint64_t codeBytes = 0;  ///< Executable pages, from the start.
  uint64_t totalBytes = 0; ///< With the pages of constants after them.
  std::vector<std::pair<std::string, size_t>> functions;

private:
  bool refuse(std::string reason) {
    why = std::move(reason);
    return false;
  }
  bool inFile(uint64_t offset, uint64_t bytes) const { return offset <= size && bytes <= size - offset; }
  /// Entry `index` of a table of structures in the file; the bounds of the table have been checked.
  template <typename T>
  T entry(const Elf64_Shdr &section, uint64_t index) const {
    T value;
    std::memcpy(&value, object + section.sh_offset + index * sizeof(T), sizeof(T));
    return value;
  }
  /// The string at `offset` of a string table; nothing where it is not terminated inside.
  std::optional<std::string> string(const Elf64_Shdr &table, uint64_t offset) const;
  bool isStringTable(uint64_t index) const { return index < sections.size() && sections[index].sh_type == SHT_STRTAB; }
  bool place(bool executable);
  bool readSymbol(const Elf64_Sym &symbol, const std::string &name);
  bool relocate(uint8_t *memory, const Elf64_Shdr &relocations);

  const uint8_t *object;
  uint64_t size;
  std::vector<Elf64_Shdr> sections;
  std::vector<std::optional<uint64_t>> offsets; ///< Of each section in memory, where it is loaded.
  std::optional<size_t> symbolTable;
};

std::optional<std::string> Loader::string(const Elf64_Shdr &table, uint64_t offset) const {
  if (offset >= table.sh_size)
    return std::nullopt;
  const char *begin = reinterpret_cast<const char *>(object) + table.sh_offset + offset;
  uint64_t room = table.sh_size - offset, length = strnlen(begin, room);
  if (length == room)
    return std::nullopt;
  return std::string(begin, length);
}

bool Loader::readHeader() {
  Elf64_Ehdr header;
  if (size < sizeof(header))
    return refuse("it is shorter than an ELF header");
  std::memcpy(&header, object, sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return refuse("it is not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64 || header.e_type != ET_REL)
    return refuse("it is not a relocatable x86-64 object");
  if (header.e_shentsize != sizeof(Elf64_Shdr) || !header.e_shnum || header.e_shnum >= SHN_LORESERVE ||
      !header.e_shoff || !inFile(header.e_shoff, uint64_t{header.e_shnum} * sizeof(Elf64_Shdr)))
    return refuse("its section headers lie outside the file");
  sections.resize(header.e_shnum);
  std::memcpy(sections.data(), object + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));

  for (size_t i = 0; i < sections.size(); ++i) {
    const Elf64_Shdr &s = sections[i];
    if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL && !inFile(s.sh_offset, s.sh_size))
      return refuse("section " + std::to_string(i) + " lies outside the file");
    if (s.sh_type == SHT_SYMTAB && std::exchange(symbolTable, i))
      return refuse("it has two symbol tables");
    if (s.sh_type == SHT_SYMTAB_SHNDX)
      return refuse("it has extended section numbers");
    if (s.sh_type == SHT_REL)
      return refuse("it has relocations without addends");
  }
  return symbolTable ? true : refuse("it has no symbol table");
}

/// Gives each code (or constant) section its offset, after all that have one.
bool Loader::place(bool executable) {
  for (size_t i = 0; i < sections.size(); ++i) {
    const Elf64_Shdr &s = sections[i];
    // Unwind tables and notes say nothing that a kernel needs; empty sections, which compilers like to leave, neither.
    if (!(s.sh_flags & SHF_ALLOC) || s.sh_type == SHT_X86_64_UNWIND || s.sh_type == SHT_NOTE || !s.sh_size ||
        !!(s.sh_flags & SHF_EXECINSTR) != executable)
      continue;
    if (s.sh_flags & SHF_WRITE)
      return refuse("section " + std::to_string(i) + " is writable data");
    if (s.sh_type != SHT_PROGBITS || (s.sh_flags & (SHF_TLS | SHF_COMPRESSED)))
      return refuse("section " + std::to_string(i) + " is neither plain code nor plain constants");
    uint64_t align = std::max<uint64_t>(s.sh_addralign, 1);
    if (align > pageSize || (align & (align - 1)))
      return refuse("section " + std::to_string(i) + " has alignment " + std::to_string(align));
    totalBytes = (totalBytes + align - 1) & ~(align - 1);
    offsets[i] = totalBytes;
    totalBytes += s.sh_size;
    if (totalBytes > maxSize)
      return refuse("it is larger than " + std::to_string(maxSize) + " bytes");
  }
  totalBytes = (totalBytes + pageSize - 1) & ~(pageSize - 1);
  return true;
}

bool Loader::placeSections() {
  offsets.resize(sections.size());
  if (!place(/*executable=*/true))
    return false;
  codeBytes = totalBytes;
  if (!codeBytes)
    return refuse("it has no code");
  return place(/*executable=*/false);
}

bool Loader::readSymbol(const Elf64_Sym &symbol, const std::string &name) {
  unsigned section = symbol.st_shndx, type = ELF64_ST_TYPE(symbol.st_info);
  if (section == SHN_UNDEF)
    return refuse("it needs the symbol '" + name + "'");
  if (section == SHN_COMMON || type == STT_GNU_IFUNC || type == STT_TLS || type == STT_COMMON)
    return refuse("symbol '" + name + "' is neither a function nor a constant");
  if (section >= SHN_LORESERVE)
    return true;
  if (section >= sections.size() || symbol.st_value > sections[section].sh_size ||
      symbol.st_size > sections[section].sh_size - symbol.st_value)
    return refuse("symbol '" + name + "' lies outside its section");
  if (ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL && type == STT_FUNC) {
    if (!offsets[section] || !(sections[section].sh_flags & SHF_EXECINSTR) || !symbol.st_size)
      return refuse("function '" + name + "' is not in a code section");
    functions.emplace_back(name, *offsets[section] + symbol.st_value);
  }
  return true;
}

bool Loader::readSymbols() {
  const Elf64_Shdr &table = sections[*symbolTable];
  if (!isStringTable(table.sh_link))
    return refuse("its symbols have no names");
  for (uint64_t i = 1; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
    auto symbol = entry<Elf64_Sym>(table, i);
    std::optional<std::string> name = string(sections[table.sh_link], symbol.st_name);
    if (!name)
      return refuse("the name of symbol " + std::to_string(i) + " lies outside the file");
    if (!readSymbol(symbol, *name))
      return false;
  }
  return true;
}

bool Loader::relocate(uint8_t *memory, const Elf64_Shdr &relocations) {
  const Elf64_Shdr &symbols = sections[*symbolTable], &target = sections[relocations.sh_info];
  for (uint64_t i = 0; i < relocations.sh_size / sizeof(Elf64_Rela); ++i) {
    auto r = entry<Elf64_Rela>(relocations, i);
    uint64_t type = ELF64_R_TYPE(r.r_info), index = ELF64_R_SYM(r.r_info);
    if (type != R_X86_64_PC32 && type != R_X86_64_PLT32)
      return refuse("relocation type " + std::to_string(type) + " is not one that kernels use");
    if (target.sh_size < 4 || r.r_offset > target.sh_size - 4)
      return refuse("relocation " + std::to_string(i) + " lies outside its section");
    if (!index || index >= symbols.sh_size / sizeof(Elf64_Sym))
      return refuse("relocation " + std::to_string(i) + " has no symbol");
    auto symbol = entry<Elf64_Sym>(symbols, index);
    if (symbol.st_shndx >= sections.size() || !offsets[symbol.st_shndx])
      return refuse("relocation " + std::to_string(i) + " refers to a section that is not loaded");
    uint64_t place = *offsets[relocations.sh_info] + r.r_offset;
    // Unsigned, as an addend may be anything; the comparison refuses what does not fit.
    uint64_t distance = *offsets[symbol.st_shndx] + symbol.st_value + static_cast<uint64_t>(r.r_addend) - place;
    auto value = static_cast<int32_t>(distance);
    if (static_cast<uint64_t>(int64_t{value}) != distance)
      return refuse("relocation " + std::to_string(i) + " does not fit 32 bits");
    std::memcpy(memory + place, &value, 4);
  }
  return true;
}

bool Loader::fill(uint8_t *memory) {
  for (size_t i = 0; i < sections.size(); ++i)
    if (offsets[i])
      std::memcpy(memory + *offsets[i], object + sections[i].sh_offset, sections[i].sh_size);
  for (const Elf64_Shdr &s : sections) {
    if (s.sh_type != SHT_RELA)
      continue;
    if (s.sh_info >= sections.size() || s.sh_link != *symbolTable)
      return refuse("its relocations refer to no section");
    if (offsets[s.sh_info] && !relocate(memory, s))
      return false;
  }
  return true;
}

} // namespace

Expected<LoadedObject> LoadedObject::load(const uint8_t *object, size_t size) {
  Loader loader(object, size);
  auto refused = [&] { return invalidArgument("kernel object of " + std::to_string(size) + " bytes: " + loader.why); };
  if (!loader.readHeader() || !loader.placeSections() || !loader.readSymbols())
    return refused();

  void *memory = mmap(nullptr, loader.totalBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return ioError("cannot map " + std::to_string(loader.totalBytes) + " bytes for a kernel: " + std::strerror(errno));
  LoadedObject loaded;
  loaded.memory = static_cast<uint8_t *>(memory);
  loaded.bytes = loader.totalBytes;
  if (!loader.fill(loaded.memory))
    return refused();
  // Constants are in pages of their own, so that nothing but code can be executed.
  if (mprotect(memory, loader.codeBytes, PROT_READ | PROT_EXEC) != 0 ||
      (loader.totalBytes > loader.codeBytes &&
       mprotect(loaded.memory + loader.codeBytes, loader.totalBytes - loader.codeBytes, PROT_READ) != 0))
    return ioError(std::string("cannot make the pages of a kernel executable: ") + std::strerror(errno));
  loaded.functions = std::move(loader.functions);
  return loaded;
}

LoadedObject::LoadedObject(LoadedObject &&other) noexcept
    : memory(std::exchange(other.memory, nullptr)), bytes(std::exchange(other.bytes, 0)),
      functions(std::move(other.functions)) {}

LoadedObject &LoadedObject::operator=(LoadedObject &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(bytes, other.bytes);
  std::swap(functions, other.functions);
  return *this;
}

LoadedObject::~LoadedObject() {
  if (memory)
    munmap(memory, bytes);
}

void *LoadedObject::function(std::string_view name) const {
  for (const auto &[known, offset] : functions)
    if (known == name)
      return memory + offset;
  return nullptr;
}
