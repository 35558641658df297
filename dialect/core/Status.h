// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Errors as values. They cross every border of bq; only quantizers/ turns them into exceptions.
#ifndef BQ_DIALECT_CORE_STATUS_H
#define BQ_DIALECT_CORE_STATUS_H

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace bq {

enum class ErrorCode {
  InvalidArgument, ///< The caller's input breaks a rule; the text names input, value and rule.
  Unsupported,     ///< A valid request that this build or machine cannot serve; the text says why.
  NotFound,        ///< A file, library or cache entry is absent.
  Io,              ///< The operating system refused; the text holds path and reason.
  Internal,        ///< A defect of bq itself.
};

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
};

/// Success, or an error with a one-line text.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : failure(std::move(error)) {}

  bool ok() const { return !failure; }
  explicit operator bool() const { return ok(); }
  /// Only where !ok().
  const Error &error() const { return *failure; }

private:
  std::optional<Error> failure;
};

/// A value, or an error.
template <typename T>
class [[nodiscard]] Expected {
public:
  Expected(T value) : state(std::move(value)) {}
  Expected(Error error) : state(std::move(error)) {}

  bool ok() const { return state.index() == 0; }
  explicit operator bool() const { return ok(); }
  T &operator*() { return std::get<0>(state); }
  const T &operator*() const { return std::get<0>(state); }
  T *operator->() { return &std::get<0>(state); }
  const T *operator->() const { return &std::get<0>(state); }
  /// Only where !ok().
  const Error &error() const { return std::get<1>(state); }

private:
  std::variant<T, Error> state;
};

inline Error invalidArgument(std::string message) { return {ErrorCode::InvalidArgument, std::move(message)}; }
inline Error unsupported(std::string message) { return {ErrorCode::Unsupported, std::move(message)}; }
inline Error notFound(std::string message) { return {ErrorCode::NotFound, std::move(message)}; }
inline Error ioError(std::string message) { return {ErrorCode::Io, std::move(message)}; }
inline Error internalError(std::string message) { return {ErrorCode::Internal, std::move(message)}; }

} // namespace bq

#endif // BQ_DIALECT_CORE_STATUS_H
