// SPDX-License-Identifier: MIT
#pragma once
// Bodies of memory.hpp.

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optscope/core/memory.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t available_memory() {
  std::size_t available = std::numeric_limits<std::size_t>::max();
  std::ifstream machine{"/proc/meminfo"};
  for (std::string name, unit; machine >> name;) {
    std::size_t kibibytes = 0;
    machine >> kibibytes;
    if (name == "MemAvailable:") available = kibibytes * 1024;
    std::getline(machine, unit);
  }
  std::size_t most = 0, used = 0;  // "max" is not a number: no limit
  if (std::ifstream{"/sys/fs/cgroup/memory.max"} >> most && std::ifstream{"/sys/fs/cgroup/memory.current"} >> used) {
    available = std::min(available, most - std::min(most, used));
  }
  return available;
}

OPTSCOPE_INLINE std::size_t peak_memory() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

OPTSCOPE_INLINE std::size_t disk_waits() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_majflt);
}

OPTSCOPE_INLINE std::string memory_text(std::size_t bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double number = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; number >= 1000; ++unit) number /= 1000;
  const auto tenths = static_cast<std::size_t>(number * 10 + 0.5);
  const std::string fraction = unit == 0 ? "" : "." + std::to_string(tenths % 10);
  return std::to_string(tenths / 10) + fraction + " " + units[unit];
}

OPTSCOPE_INLINE std::string duration_text(double seconds) {
  const char* unit = seconds < 60 ? " s" : seconds < 3600 ? " min" : " h";
  const double number = seconds < 60 ? seconds : seconds < 3600 ? seconds / 60 : seconds / 3600;
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", number < 1 ? 2 : number < 10 ? 1 : 0, number);
  std::string result{text};
  if (result.find('.') != std::string::npos) {
    result.resize(result.find_last_not_of('0') + 1);
    if (result.back() == '.') result.pop_back();
  }
  return (result == "0" && seconds > 0 ? "less than 0.01" : result) + unit;
}

}  // namespace optscope
