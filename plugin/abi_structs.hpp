// Structs on their way through the C ABI: taken from callers of any version, given back to them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/plugin.h"

namespace phlower::plugin {

// What version 1.0 had. These numbers never change; a struct that grows keeps its entry.
template <class T>
inline constexpr std::size_t kFirstSize = 0;
template <>
inline constexpr std::size_t kFirstSize<phlower_err> = 512;
template <>
inline constexpr std::size_t kFirstSize<phlower_host> = 56;
template <>
inline constexpr std::size_t kFirstSize<phlower_plugin_info> = 56;
template <>
inline constexpr std::size_t kFirstSize<phlower_record> = 184;
template <>
inline constexpr std::size_t kFirstSize<phlower_tick_out> = 48;
template <>
inline constexpr std::size_t kFirstSize<phlower_drain_out> = 24;
template <>
inline constexpr std::size_t kFirstSize<phlower_reload_report> = 24;
template <>
inline constexpr std::size_t kFirstSize<phlower_stats> = 160;
template <>
inline constexpr std::size_t kFirstSize<phlower_health> = 256;
template <>
inline constexpr std::size_t kFirstSize<phlower_metric_desc> = 40;
template <>
inline constexpr std::size_t kFirstSize<phlower_histogram> = 32;
template <>
inline constexpr std::size_t kFirstSize<phlower_query> = 136;
template <>
inline constexpr std::size_t kFirstSize<phlower_page> = 1304;

template <class T>
constexpr bool grows_only() {
  return kFirstSize<T> > 0 && kFirstSize<T> <= sizeof(T) && kFirstSize<T> % 8 == 0;
}
static_assert(grows_only<phlower_err>() && grows_only<phlower_host>());
static_assert(grows_only<phlower_plugin_info>() && grows_only<phlower_record>());
static_assert(grows_only<phlower_tick_out>() && grows_only<phlower_drain_out>());
static_assert(grows_only<phlower_reload_report>() && grows_only<phlower_stats>());
static_assert(grows_only<phlower_health>() && grows_only<phlower_metric_desc>());
static_assert(grows_only<phlower_histogram>() && grows_only<phlower_query>());
static_assert(grows_only<phlower_page>());
static_assert(offsetof(phlower_record, received_at_ns) == 152);
static_assert(offsetof(phlower_query, from_at_ns) == 104);
static_assert(offsetof(phlower_stats, ring_fill_ppm) == 152);

inline Status wrong_size(const char* name, std::size_t size, std::size_t least) {
  return Status(Code::kAbi, std::string(name) + ": struct_size is " + std::to_string(size) +
                                "; this build takes from " + std::to_string(least));
}

/// A copy of what a caller gave, members that it does not know being 0. Errors: kInvalidArgument
/// for NULL, kAbi for a struct that is too small or has something set that this build does not
/// know.
template <class T>
Status take(const T* given, const char* name, T& mine) {
  if (given == nullptr) return Status(Code::kInvalidArgument, std::string(name) + " is NULL");
  const std::size_t size = given->struct_size;
  if (size < kFirstSize<T>) return wrong_size(name, size, kFirstSize<T>);
  // A size that no struct has is a pointer to something else: nothing behind our own is read.
  if (size > 16 * sizeof(T)) return wrong_size(name, size, kFirstSize<T>);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t at = sizeof(T); at < size; ++at) {
    if (bytes[at] != 0) {
      return Status(Code::kAbi, std::string(name) + ": byte " + std::to_string(at) +
                                    " is set and not known to this build");
    }
  }
  mine = T{};
  std::memcpy(&mine, given, std::min(size, sizeof(T)));
  return Status();
}

/// Whether a caller's struct can be filled. NULL can, with nothing.
template <class T>
Status fillable(const T* theirs, const char* name) {
  if (theirs == nullptr || theirs->struct_size >= kFirstSize<T>) return Status();
  return wrong_size(name, theirs->struct_size, kFirstSize<T>);
}

/// Fills the caller's struct as far as it reaches; its struct_size stays. Requires: fillable.
template <class T>
void give(T* theirs, const T& mine) {
  if (theirs == nullptr) return;
  const std::uint32_t size = theirs->struct_size;
  std::memcpy(theirs, &mine, std::min<std::size_t>(size, sizeof(T)));
  theirs->struct_size = size;
}

/// As much of `text` as there is room for, and a NUL.
template <std::size_t kBytes>
void copy_text(char (&into)[kBytes], std::string_view text) {
  const std::size_t size = std::min(text.size(), kBytes - 1);
  std::memcpy(into, text.data(), size);
  into[size] = '\0';
}

/// A status as the caller sees it. A place `yaml:3:10: ` at its beginning becomes line and column.
inline std::int32_t give_error(phlower_err* theirs, const Status& status) {
  const auto code = static_cast<std::int32_t>(status.code());
  if (theirs == nullptr || theirs->struct_size < kFirstSize<phlower_err>) return code;
  phlower_err mine{};
  mine.code = code;
  mine.sys_errno = status.sys_errno();
  mine.sqlite_code = status.sqlite_code();
  if (!status.ok()) copy_text(mine.message, status.message());
  std::uint32_t* const numbers[] = {&mine.line, &mine.column};
  const std::string_view text = status.message();
  std::size_t at = status.code() == Code::kInvalidConfig ? text.find(':') : text.npos;
  for (std::uint32_t* number : numbers) {
    if (at == text.npos) break;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      *number = *number * 10 + static_cast<std::uint32_t>(text[at] - '0');
    }
  }
  give(theirs, mine);
  return code;
}

inline std::string_view view(const phlower_text& text) noexcept {
  return text.data == nullptr ? std::string_view()
                              : std::string_view(text.data, static_cast<std::size_t>(text.size));
}
inline phlower_text text(std::string_view view) noexcept { return {view.data(), view.size()}; }

}  // namespace phlower::plugin
