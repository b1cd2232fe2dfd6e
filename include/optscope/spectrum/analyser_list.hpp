// SPDX-License-Identifier: MIT
#pragma once
// A list of spectrum analysers to choose from by name.

#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace optscope {

/// Analysers that a program offers. To offer one more, add its type here:
///
///     using offered = analyser_list<automatic, exact, gram, lanczos_quadrature>;
///     for (const auto& [name, help] : offered::names()) std::cout << name << ": " << help << '\n';
///     const bool known = offered::with("gram", [&]<class A>(std::type_identity<A>) { run<A>(); });
template <class... Analysers>
struct analyser_list {
  static_assert((spectrum_analyser<Analysers, block_matrix_operator> && ...),
                "a spectrum analyser has types scalar and settings, names name and help, and members check(shape), "
                "bytes(shape), operations(shape) and a call operator that takes an operator: see analyser.hpp");

  struct entry {
    std::string name, help;
  };
  [[nodiscard]] static std::vector<entry> names() {
    return {entry{std::string{Analysers::name}, std::string{Analysers::help}}...};
  }

  /// Calls `use(std::type_identity<A>{})` with the analyser A of this name; `false` if there is none.
  template <class Use>
  static bool with(std::string_view name, Use&& use) {
    const auto try_one = [&]<class A>(std::type_identity<A> one) {
      if (name != A::name) return false;
      use(one);
      return true;
    };
    return (try_one(std::type_identity<Analysers>{}) || ...);
  }
};

}  // namespace optscope
