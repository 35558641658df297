// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/NvrtcFile.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace bq;

namespace {

/// Newest first.
constexpr const char *sonames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

/// A file descriptor, closed at the end.
struct File {
  int descriptor;
  ~File() {
    if (descriptor >= 0)
      close(descriptor);
  }
  /// Whether all of `size` bytes at `offset` could be read.
  bool read(void *target, size_t size, off_t offset) const {
    return pread(descriptor, target, size, offset) == static_cast<ssize_t>(size);
  }
};

/// The build id among the notes of a PT_NOTE segment; empty where there is none.
std::string buildIdIn(const std::vector<char> &notes) {
  auto aligned = [](size_t size) { return (size + 3) & ~size_t{3}; };
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= notes.size();) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data() + at, sizeof(note));
    size_t name = at + sizeof(note), body = name + aligned(note.n_namesz);
    at = body + aligned(note.n_descsz);
    if (body + note.n_descsz > notes.size())
      break;
    if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || std::memcmp(notes.data() + name, "GNU", 4) != 0)
      continue;
    std::string id;
    for (size_t i = 0; i < note.n_descsz; ++i)
      for (int shift : {4, 0})
        id += "0123456789abcdef"[notes[body + i] >> shift & 15];
    return id;
  }
  return "";
}

void addFolder(std::vector<std::string> &files, const std::string &folder) {
  for (const char *soname : sonames)
    files.push_back(folder + "/" + soname);
}

/// The CUDA wheels in the folder of packages that holds `path`, if one does.
void addWheels(std::vector<std::string> &files, const std::string &path) {
  for (const char *packages : {"/site-packages/", "/dist-packages/"}) {
    size_t end = path.find(packages);
    if (end == std::string::npos)
      continue;
    std::string nvidia = path.substr(0, end + std::strlen(packages)) + "nvidia/";
    files.push_back(nvidia + "cu13/lib/" + sonames[0]);
    files.push_back(nvidia + "cuda_nvrtc/lib/" + sonames[1]);
  }
}

std::vector<std::string> loadedObjects() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *list) {
        static_cast<std::vector<std::string> *>(list)->emplace_back(info->dlpi_name);
        return 0;
      },
      &paths);
  return paths;
}

/// What the system's loader finds under a name; empty where nothing.
std::string loaderPath(const char *soname) {
  void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
  if (!library)
    return "";
  link_map *map = nullptr;
  std::string path = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
  dlclose(library);
  return path;
}

Expected<NvrtcFile> search(const std::string &chosen) {
  if (!chosen.empty()) {
    Expected<NvrtcFile> file = NvrtcFile::read(chosen);
    if (!file)
      return Error{file.error().code, "BQ_NVRTC: " + file.error().message};
    return file;
  }
  const char *libraryPath = std::getenv("LD_LIBRARY_PATH");
  return NvrtcFile::first(NvrtcFile::candidates(libraryPath ? libraryPath : "", loadedObjects()),
                          {std::begin(sonames), std::end(sonames)});
}

} // namespace

Expected<NvrtcFile> NvrtcFile::first(const std::vector<std::string> &files, const std::vector<std::string> &sonames) {
  for (const std::string &path : files)
    if (access(path.c_str(), R_OK) == 0)
      if (Expected<NvrtcFile> file = read(path))
        return file;
  for (const std::string &soname : sonames)
    if (std::string path = loaderPath(soname.c_str()); !path.empty())
      return read(path);
  std::string places;
  for (const std::string &path : files)
    places += path + ", ";
  return notFound(
      "kernels for GPUs need NVRTC, which is neither at " + places +
      "nor known to the system's loader: install it with `pip install nvidia-cuda-nvrtc` or with the CUDA toolkit, or "
      "set BQ_NVRTC to the path of libnvrtc.so.13");
}

std::vector<std::string> NvrtcFile::candidates(const std::string &libraryPath, const std::vector<std::string> &loaded) {
  std::vector<std::string> files;
  for (size_t at = 0; at < libraryPath.size();) {
    size_t end = std::min(libraryPath.find(':', at), libraryPath.size());
    // An empty entry is the working folder, which is no place to take code from.
    if (end > at)
      addFolder(files, libraryPath.substr(at, end - at));
    at = end + 1;
  }
  for (const std::string &path : loaded)
    addWheels(files, path);
#ifdef BQ_TORCH_LIBRARY_DIR
  addWheels(files, BQ_TORCH_LIBRARY_DIR "/");
#endif
  glob_t found{};
  if (glob("/usr/local/cuda*", 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i)
      for (const char *folder : {"/lib64", "/lib"})
        addFolder(files, std::string(found.gl_pathv[i]) + folder);
  globfree(&found);

  std::vector<std::string> unique;
  for (std::string &path : files)
    if (std::find(unique.begin(), unique.end(), path) == unique.end())
      unique.push_back(std::move(path));
  return unique;
}

Expected<NvrtcFile> NvrtcFile::read(const std::string &path) {
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0)
    return ioError("cannot read " + path + ": " + std::strerror(errno));
  ElfW(Ehdr) header;
  if (!file.read(&header, sizeof(header), 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return invalidArgument(path + " is not a shared library");
  NvrtcFile found{path, ""};
  for (int i = 0; i < header.e_phnum && found.build.empty(); ++i) {
    ElfW(Phdr) segment;
    off_t at = static_cast<off_t>(header.e_phoff + i * sizeof(segment));
    if (!file.read(&segment, sizeof(segment), at))
      break;
    // Notes are short; a size beyond that is not one of a library that a compiler made.
    if (segment.p_type != PT_NOTE || segment.p_filesz > 1 << 16)
      continue;
    std::vector<char> notes(segment.p_filesz);
    if (file.read(notes.data(), notes.size(), static_cast<off_t>(segment.p_offset)))
      found.build = buildIdIn(notes);
  }
  if (found.build.empty())
    found.build = std::to_string(status.st_size) + " bytes at " + path;
  return found;
}

Expected<NvrtcFile> NvrtcFile::find() {
  struct Known {
    std::string chosen;
    NvrtcFile file;
  };
  // Not a static with a lock, which another thread could hold for ever in a forked child.
  static std::atomic<const Known *> known{nullptr};
  const char *variable = std::getenv("BQ_NVRTC");
  std::string chosen = variable ? variable : "";
  if (const Known *last = known.load(std::memory_order_acquire); last && last->chosen == chosen)
    return last->file;
  Expected<NvrtcFile> file = search(chosen);
  // What was known stays, since another thread may be reading it.
  if (file)
    known.store(new Known{std::move(chosen), *file}, std::memory_order_release);
  return file;
}
